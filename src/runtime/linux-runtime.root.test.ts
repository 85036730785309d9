import { describe, test } from '@jest/globals';
import { lackOfLinux, LinuxMachine } from './contract/linux-machine.fixture.ts';
import { runtimeContract } from './runtime.contract.ts';

const lack = lackOfLinux();

if (lack === undefined) {
  runtimeContract('LinuxRuntime', async () => new LinuxMachine());
} else {
  console.warn(`skipped: src/runtime/linux-runtime.root.test.ts needs ${lack}`);
  describe('LinuxRuntime', () => {
    test.skip(`needs ${lack}`, () => undefined);
  });
}
