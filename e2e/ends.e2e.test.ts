import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CriError } from '#cri-api/client';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';

// What calls are told whose container ends meanwhile.

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

const ends = 75;

/** What ExecSyncs are refused with, one after the other from three sides, until one is. */
async function untilRefused(container: TestContainer): Promise<CriError[]> {
  const side = async (): Promise<CriError> => {
    for (;;) {
      try {
        await container.exec(['true']);
      } catch (error) {
        if (error instanceof CriError) return error;
        throw error;
      }
    }
  };
  return Promise.all([side(), side(), side()]);
}

describe('ExecSync beside the end of its container', () => {
  test.each(['POD', 'CONTAINER'] as const)('is told of that end (pid namespace: %s)', async (pid) => {
    const pod = await TestPod.run(berthd, { linux: { security_context: { namespace_options: { pid } } } });
    const told = new Map<string, number>();
    for (let i = 0; i < ends; i++) {
      const container = await pod.start(shell('sleep 0.1; exit 3'));
      const refusals = untilRefused(container);
      // Every other one is stopped instead.
      if (i % 2 === 0) await container.stop(0);
      for (const { status, details } of await refusals) {
        const kind = `${status} ${/exit code (3|137)/.test(details) ? 'with the exit code' : details}`;
        told.set(kind, (told.get(kind) ?? 0) + 1);
      }
      await container.remove();
    }
    expect([...told.keys()]).toEqual(['FAILED_PRECONDITION with the exit code']);
    await pod.remove();
  });

  test('also when its pod is stopped', async () => {
    const told = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const pod = await TestPod.run(berthd);
      const container = await pod.start(shell('sleep 1000'));
      const refusals = untilRefused(container);
      await pod.stop();
      for (const { status, details } of await refusals) {
        told.add(`${status} ${details.includes('exit code 137') ? 'with the exit code' : details}`);
      }
      await pod.remove();
    }
    expect([...told]).toEqual(['FAILED_PRECONDITION with the exit code']);
  });
});

describe('OOMKilled', () => {
  const tight = { linux: { resources: { memory_limit_in_bytes: String(16 * 1024 * 1024) } } };

  test('an exec that ran out of memory is not the end of a container that is stopped later', async () => {
    const pod = await TestPod.run(berthd);
    for (const graceS of [0, 1]) {
      const container = await pod.start(shell("trap '' TERM; while :; do sleep 1; done", tight));
      expect(await container.exec(['tail', '/dev/zero'], 30)).toMatchObject({ code: 137 });
      await container.stop(graceS);
      expect(await container.status()).toMatchObject({ exit_code: 137, reason: 'Error' });
      await container.remove();
    }
    await pod.remove();
  });
});
