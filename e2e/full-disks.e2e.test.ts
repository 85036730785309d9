import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { fill } from './harness/full-disk.ts';
import { parseLog, shell, TestPod } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// A disk that is full costs what needs it, with an error that says so, and everything goes on once there is room.

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd({ diskSize: '24m', config: 'reserve_mib = 2\n[timeouts]\nkill = "3s"\n' });
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

describe('the state directory is full', () => {
  test('what runs goes on, lists answer, and what cannot be made says why', async () => {
    const pod = await TestPod.run(berthd);
    const container = await pod.start(shell('i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done'));
    const full = fill(berthd, berthd.root);
    try {
      const failure = await TestPod.run(berthd).then(
        () => 'it was made all the same',
        (error: unknown) => String(error),
      );
      expect(failure).toMatch(/No space left|ENOSPC/);
      // Which disk, how much is free, what to do.
      expect(failure).toMatch(/ of [\d.]+ MB are free on the file system of \/\S+\/s\b/);
      expect(failure).toContain('make room there');
      expect(failure.match(/make room there/g)).toHaveLength(1);
      expect((await container.status()).state).toBe('CONTAINER_RUNNING');
      expect(await container.sh('echo alive')).toBe('alive\n');
      const { items } = await berthd.cri.runtime.listPodSandbox({ filter: { id: pod.id } });
      expect(items).toHaveLength(1);
    } finally {
      full[Symbol.dispose]();
    }
    expect(await (await TestPod.run(berthd)).sh('echo there is room')).toBe('there is room\n');
    await berthd.removeAllPods();
    expect(await berthd.strays()).toEqual([]);
  });

  test.each([
    ['while berthd runs on', () => Promise.resolve()],
    ['after berthd was killed', () => berthd.kill9()],
  ])('an end is told at once, and is known with room again: %s', async (_name, meanwhile) => {
    const pod = await TestPod.run(berthd);
    const container = await pod.start(shell('sleep 1; exit 7'));
    const full = fill(berthd, berthd.root);
    try {
      expect(await container.exited()).toMatchObject({ exit_code: 7, reason: 'Error' });
      await meanwhile();
    } finally {
      full[Symbol.dispose]();
    }
    if (berthd.dead) await berthd.start();
    expect(await container.status()).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 7, reason: 'Error' });
    await pod.remove();
    expect(await berthd.strays()).toEqual([]);
  });

  test('a start and a stop are told as they went, and a pod goes', async () => {
    const pod = await TestPod.run(berthd);
    const container = await pod.create(shell('sleep 1000'));
    const full = fill(berthd, berthd.root);
    try {
      await container.start();
      expect((await container.status()).state).toBe('CONTAINER_RUNNING');
      await container.start();
      await container.stop();
      expect((await container.status()).state).toBe('CONTAINER_EXITED');
      await container.remove();
      await pod.remove();
      await expect(pod.status()).rejects.toMatchObject({ status: 'NOT_FOUND' });
    } finally {
      full[Symbol.dispose]();
    }
    expect(await berthd.strays()).toEqual([]);
  });
});

describe('the disk of a log is full', () => {
  test('only its container waits; the others, exec and stop do not, and lines come again with room', async () => {
    const disk = path.join(berthd.node.directory, 'log-disk');
    mkdirSync(disk);
    await berthd.node.run(['mount', '-t', 'tmpfs', '-o', 'size=256k', 'none', disk]);
    try {
      const pod = await TestPod.run(berthd, { log_directory: disk });
      const other = await TestPod.run(berthd);
      const counting = 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done';
      const full = fill(berthd, disk);
      const container = await pod.start(shell(counting));
      const bystander = await other.start(shell(counting));
      await eventually('the bystander logs', () => bystander.output().includes('100\n'));
      expect(await container.sh('echo alive')).toBe('alive\n');
      expect((await container.status()).state).toBe('CONTAINER_RUNNING');
      // What is lost is told, of whom it is, and by whoever is asked.
      const lost = new RegExp(`output of container ${container.id}: [1-9]\\d* bytes are not in its log`);
      await eventually('check tells of it', async () => (await berthd.strays()).some((line) => lost.test(line)));
      const { info } = await berthd.cri.runtime.containerStatus({ container_id: container.id, verbose: true });
      expect(JSON.parse(info['info'] ?? '')).toMatchObject({ warnings: [expect.stringMatching(lost)] });
      expect(await berthd.metrics()).toMatch(/^berth_log_bytes_dropped_total [1-9]/m);
      full[Symbol.dispose]();
      const log = (): string => String(readInNode(container.logFile));
      await eventually('lines come again', () => /stdout F \d+\n/.test(log()));
      await container.stop();
      // Whole lines only: a write that the disk cut in two is completed or dropped, never glued to the next.
      for (const line of parseLog(log())) expect(line.text).toMatch(/^\d+\n$/);
      await pod.remove();
      await other.remove();
    } finally {
      await berthd.removeAllPods();
      await berthd.node.run(['umount', disk]);
    }
    expect(await berthd.strays()).toEqual([]);
  });

  /** The tmpfs is the node's alone: it is reached through its holder's root. */
  function readInNode(file: string): Buffer {
    return readFileSync(path.join(`/proc/${berthd.node.pid}/root`, file));
  }
});
