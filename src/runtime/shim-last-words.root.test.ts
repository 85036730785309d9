import { expect, test } from '@jest/globals';
import { lackOfLinux, LinuxMachine } from './contract/linux-machine.fixture.ts';
import { ctx, RuntimeBench } from './contract/runtime-bench.fixture.ts';

const lack = lackOfLinux();
if (lack !== undefined) console.warn(`skipped: src/runtime/shim-last-words.root.test.ts needs ${lack}`);

/** No applet is called as a shim is: busybox says so, and ends. */
class WithoutShim extends LinuxMachine {
  override open(): ReturnType<LinuxMachine['open']> {
    return super.open('/bin/busybox');
  }
}

(lack === undefined ? test : test.skip)('a shim that ends at once: its last words are in the error', async () => {
  const machine = new WithoutShim();
  const bench = await RuntimeBench.open(machine);
  try {
    const input = await bench.podInput();
    await expect(bench.runtime.runPod(ctx, input)).rejects.toMatchObject({
      code: 'SHIM_DIED',
      message: expect.stringMatching(/; its last words: .*applet not found/),
    });
    expect((await bench.runtime.documents(ctx)).has(input.podId)).toBe(false);
  } finally {
    await bench.runtime.close();
    await machine.cleanUp();
  }
});
