import { afterAll, beforeAll, describe } from '@jest/globals';
import { containersContract } from './contract/containers.contract.ts';
import { execContract } from './contract/exec.contract.ts';
import { podsContract } from './contract/pods.contract.ts';
import { recoveryContract } from './contract/recovery.contract.ts';
import { RuntimeBench, type RuntimeMachine } from './contract/runtime-bench.fixture.ts';
import { straysContract } from './contract/strays.contract.ts';
import { usageContract } from './contract/usage.contract.ts';

/** A machine that is busy lets a control group wait for seconds. */
const patienceMs = 60_000;

/** What every Runtime does. `prepare` makes a machine that has nothing yet, for all suites. */
export function runtimeContract(name: string, prepare: () => Promise<RuntimeMachine>): void {
  describe(`${name}: the contract of Runtime`, () => {
    let bench: RuntimeBench;
    beforeAll(async () => {
      bench = await RuntimeBench.open(await prepare());
    }, patienceMs);
    afterAll(() => bench.cleanUp(), patienceMs);

    for (const suite of [
      podsContract,
      containersContract,
      execContract,
      usageContract,
      recoveryContract,
      straysContract,
    ]) {
      suite(() => bench);
    }
  });
}
