import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { shell, TestPod } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// A shim that hangs while berthd runs: its own pod waits, everybody is told which process it is.

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd({ config: '[timeouts]\nstart_container = "7s"\nkill = "7s"\n' });
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

describe('a shim that is stopped while berthd runs', () => {
  test('is named with its pid by check, by the log and by the calls that gave up; then it goes on', async () => {
    const pod = await TestPod.run(berthd);
    const other = await TestPod.run(berthd);
    const running = await pod.start(shell('while :; do sleep 1; done'));
    const created = await pod.create(shell('sleep 1000'));
    const { info } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
    const { shimPid = 0 } = JSON.parse(info['info'] ?? '{}') as { shimPid?: number };
    expect(shimPid).toBeGreaterThan(1);
    const named = `the shim of pod ${pod.id} (pid ${shimPid}) has not answered for`;
    expect(await berthd.strays()).toEqual([]);
    process.kill(shimPid, 'SIGSTOP');
    try {
      expect(await berthd.strays()).toEqual([expect.stringContaining(named)]);
      expect(berthd.log).toContain(named);
      expect((await berthd.berth(['ps'])).stdout).toMatch(/ready +shim does not answer/);
      const failures = await Promise.all(
        [created.start(), running.stop(0), running.exec(['true'])].map((call) =>
          call.then(
            () => '',
            (error: unknown) => String(error),
          ),
        ),
      );
      for (const failure of failures) expect(failure).toContain(named);
      expect(failures[0]).toContain(`kill -CONT ${shimPid}`);
      await other.remove();
    } finally {
      process.kill(shimPid, 'SIGCONT');
    }
    await eventually('it answers again', async () => (await berthd.strays()).length === 0);
    expect(berthd.log).toContain('the shim of a pod answers again');
    await pod.remove();
  }, 60_000);
});

describe('a shim whose socket was deleted', () => {
  test('is named by the next berthd and by the calls that need it, and goes with its pod', async () => {
    const pod = await TestPod.run(berthd);
    const running = await pod.start(shell('while :; do sleep 1; done'));
    const { info } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
    const { shimPid = 0 } = JSON.parse(info['info'] ?? '{}') as { shimPid?: number };
    await berthd.kill9();
    rmSync(path.join(berthd.run, 'pods', pod.id, 'shim.sock'));
    await berthd.start();
    const named = `the shim of pod ${pod.id} (pid ${shimPid}) lives, but its socket is gone`;
    expect(await berthd.strays()).toEqual([expect.stringContaining(named)]);
    expect((await running.status()).state).toBe('CONTAINER_RUNNING');
    await expect(running.exec(['true'])).rejects.toThrow(named);
    await expect(running.stop(0)).rejects.toThrow(named);
    await pod.stop();
    expect(await running.exited()).toMatchObject({ exit_code: 137, reason: 'ShimDied' });
    await pod.remove();
    expect(await berthd.strays()).toEqual([]);
  });
});
