import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { HangingMount } from './harness/hanging-mount.ts';
import { shell, TestPod } from './harness/pods.ts';
import { delay, eventually } from './harness/wait.ts';

// A stat on a dead NFS or FUSE mount never returns. It may cost its own container, and nobody else anything.

let berthd: Berthd;
let mount: HangingMount;

beforeAll(async () => {
  berthd = await startBerthd({ config: '[timeouts]\nvolume = "2s"\nkill = "2s"\n' });
  await berthd.loadBusybox();
  mount = await HangingMount.mount(berthd);
});

afterEach(() => mount.answer());

afterAll(async () => {
  // Whatever a test left: without the daemon's end nothing of this file would ever end.
  try {
    await mount.unmount();
  } finally {
    await berthd.teardown();
  }
});

describe('a volume on a mount that never answers', () => {
  const volume = { container_path: '/v', host_path: '', readonly: false };

  test('its CreateContainer ends at its deadline with an error that names the path; nobody else waits', async () => {
    const pod = await TestPod.run(berthd);
    const other = await TestPod.run(berthd);
    const bystander = await other.start(shell('sleep 1000'));
    const metadata = { name: 'stuck', attempt: 0 };
    const config = shell('cat /v/file', {
      metadata,
      log_path: 'stuck.log',
      mounts: [{ ...volume, host_path: path.join(mount.mountpoint, 'data') }],
    });
    mount.hang();

    const started = performance.now();
    let ended = false;
    const failure = pod.create(config).then(
      () => 'it was created',
      (error: unknown) => {
        ended = true;
        return error instanceof Error ? error.message : String(error);
      },
    );
    const times: number[] = [];
    while (!ended && performance.now() - started < 20_000) {
      for (const call of [
        () => berthd.cri.runtime.listContainers({}),
        () => berthd.cri.runtime.listPodSandbox({}),
        () => berthd.cri.runtime.status({}),
        () => bystander.status(),
        () => bystander.exec(['true']),
      ]) {
        const before = performance.now();
        await call();
        times.push(performance.now() - before);
      }
      await delay(20);
    }
    expect(await failure).toContain(path.join(mount.mountpoint, 'data'));
    const sorted = times.sort((a, b) => a - b);
    expect(sorted.length).toBeGreaterThan(50);
    expect(sorted[Math.floor(sorted.length * 0.95)]).toBeLessThan(50);

    // The same request again while nothing has changed: the same answer, and never "name is reserved".
    const again = await pod.create(config).catch((error: unknown) => String(error));
    expect(again).toContain(path.join(mount.mountpoint, 'data'));

    mount.answer();
    const container = await pod.start(config);
    expect(await container.exited()).toMatchObject({ exit_code: 0 });
    expect(container.output()).toBe('ok\n');
    await pod.remove();
    await other.remove();
  });

  test('a command that waits for it is answered when its time is over, and goes when the volume answers', async () => {
    const pod = await TestPod.run(berthd);
    const mounts = [{ ...volume, host_path: path.join(mount.mountpoint, 'data') }];
    const container = await pod.start(shell('sleep 1000', { mounts }));
    mount.hang();
    const failure = await container.exec(['cat', '/v/file'], 1).then(
      () => 'it ended',
      (error: unknown) => String(error),
    );
    expect(failure).toMatch(/DEADLINE_EXCEEDED: .* was killed: .*; its process \d+ does not end/);
    const pid = Number(/its process (\d+)/.exec(failure)?.[1]);
    expect((await berthd.node.run(['cat', `/proc/${pid}/comm`])).stdout).toBe('cat\n');
    expect(await container.exec(['echo', 'well'], 5)).toMatchObject({ code: 0, stdout: 'well\n' });
    mount.answer();
    await eventually(
      'the command is gone',
      async () => (await berthd.node.run(['test', '-e', `/proc/${pid}`])).code !== 0,
    );
    await pod.remove();
  });

  test('a pod whose stop failed for it is stopped after a restart of berthd too, as soon as it answers', async () => {
    // Its first process ends when all the others have: until then nobody can say that it has exited.
    const own = { security_context: { namespace_options: { pid: 'CONTAINER' as const } } };
    const pod = await TestPod.run(berthd, { linux: own });
    const config = shell('while :; do cat /v/file; sleep 0.1; done', {
      log_path: 'reader.log',
      linux: own,
      mounts: [{ ...volume, host_path: path.join(mount.mountpoint, 'data') }],
    });
    const container = await pod.start(config);
    await eventually('it reads', () => container.output().includes('ok'));
    mount.hang();
    await eventually('it hangs', async () => {
      const seen = container.output();
      await delay(300);
      return seen === container.output();
    });
    await expect(pod.stop()).rejects.toThrow('its processes are still there');
    await berthd.kill9();
    await berthd.start();
    expect((await container.status()).state).toBe('CONTAINER_RUNNING');
    await eventually('check tells of it', async () =>
      (await berthd.strays()).some((line) => line.includes(`finish the stop of pod ${pod.id}`)),
    );
    mount.answer();
    expect(await container.exited()).toMatchObject({ exit_code: 137 });
    await pod.remove();
    expect(await berthd.strays()).toEqual([]);
  }, 60_000);

  test('processes that hung are gone once it answers', async () => {
    expect(mount.hangs).toBe(false);
    await eventually('nothing is left', async () => (await berthd.strays()).length === 0, 10_000);
  }, 30_000);
});
