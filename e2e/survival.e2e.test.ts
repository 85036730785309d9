import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { run } from './harness/command.ts';
import { top } from './harness/paths.ts';
import { shell, TestPod } from './harness/pods.ts';
import { seededRandom } from './harness/random.ts';
import { countingCommand, CountingContainer } from './harness/rotating-logs.ts';
import { delay, eventually } from './harness/wait.ts';

// What a crash of berthd may cost: nothing. BERTH_SEED repeats a run, BERTH_KILLS makes it longer.
const seed = Number(process.env['BERTH_SEED'] ?? Date.now() % 1_000_000);
const kills = Number(process.env['BERTH_KILLS'] ?? 10);
const podCount = 20;
const linesPerSecond = 10_000;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** How long berthd takes to load and say its version. */
async function bareStartMs(): Promise<number> {
  const times: number[] = [];
  for (let at = 0; at < 5; at++) times.push((await run([path.join(top, 'deploy/berthd'), '--version'])).ms);
  return median(times);
}

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd({ logLevel: 'info' });
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown(), 120_000);

describe(`pods survive berthd (seed ${seed})`, () => {
  const random = seededRandom(seed);
  const counting: CountingContainer[] = [];
  const pods: TestPod[] = [];

  test('twenty pods of two containers that log', async () => {
    const line = countingCommand(linesPerSecond / podCount / 2);
    for (let at = 0; at < podCount; at++) {
      const pod = await TestPod.run(berthd);
      pods.push(pod);
      for (const _ of [1, 2]) counting.push(new CountingContainer(await pod.start(shell(line))));
    }
    expect(counting).toHaveLength(2 * podCount);
  });

  test(`are all there at the first answer after each of ${kills} kills, and can be executed in`, async () => {
    const firstLists: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      // Rotations go on while the end comes: some of them are cut off in the middle.
      const rotating = rotateSome();
      await delay(random() * 300);
      await berthd.kill9();
      await rotating;
      await delay(random() * 500);
      const started = performance.now();
      await berthd.start();
      const { containers } = await berthd.cri.runtime.listContainers({});
      firstLists.push(Math.round(performance.now() - started));
      const states = containers.map(({ state }) => state);
      expect(states).toEqual(Array(2 * podCount).fill('CONTAINER_RUNNING'));
      const { items } = await berthd.cri.runtime.listPodSandbox({});
      expect(items.map(({ state }) => state)).toEqual(Array(podCount).fill('SANDBOX_READY'));
      const chosen = counting[Math.floor(random() * counting.length)];
      expect(await chosen?.container.sh('echo alive')).toBe('alive\n');
      // What a rotation that was cut off still needs; a kubelet repeats it as well.
      await Promise.all(counting.map((each) => each.reopen()));
    }
    expect(await berthd.strays()).toEqual([]);
    // From the exec of berthd to the first list; what Node alone takes to load berthd's programs is most of it.
    const bare = Math.round(await bareStartMs());
    console.log(`first answer after ${firstLists.join(', ')} ms, loading alone takes ${bare} ms (seed ${seed})`);
  }, 180_000);

  test('are not disturbed when berthd stands still for ten seconds', async () => {
    process.kill(berthd.pid, 'SIGSTOP');
    const before = counting.map((each) => each.numbers().length);
    await delay(10_000);
    const after = counting.map((each) => each.numbers().length);
    process.kill(berthd.pid, 'SIGCONT');
    for (const [at, count] of after.entries()) expect(count).toBeGreaterThan((before[at] ?? 0) + 1000);
    await eventually('berthd answers again', () => berthd.cri.runtime.listContainers({}).then(() => true));
  });

  test('every line is there exactly once', async () => {
    await Promise.all(counting.map((each) => each.container.stop(5)));
    expect(counting.flatMap((each) => each.faults())).toEqual([]);
    const total = counting.reduce((sum, each) => sum + each.numbers().length, 0);
    expect(total).toBeGreaterThan(counting.length * 1000);
  });

  test('exits that happen while berthd is away are known afterwards', async () => {
    const pod = pods[0];
    if (!pod) throw new Error('no pod');
    const container = await pod.start(shell('sleep 1; exit 7'));
    await berthd.kill9();
    await delay(1500);
    await berthd.start();
    const status = await container.status();
    expect(status).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 7, reason: 'Error' });
    expect(Number(status.finished_at)).toBeGreaterThan(Number(status.started_at));
  }, 30_000);

  test('and go without a trace', async () => {
    await berthd.removeAllPods();
    expect(await berthd.strays()).toEqual([]);
  });

  /** A few rotations; that berthd dies under one of them is the point. */
  async function rotateSome(): Promise<void> {
    for (let at = 0; at < 5; at++) {
      await counting[Math.floor(random() * counting.length)]?.rotate().catch(() => undefined);
    }
  }
});

describe('a shim that is killed', () => {
  test('takes its containers with it within a second: exit 137 with a reason, and everything can be removed', async () => {
    const pod = await TestPod.run(berthd);
    const container = await pod.start(shell('trap "" TERM; while :; do sleep 1; done'));
    const other = await TestPod.run(berthd);
    const bystander = await other.start(shell('sleep 1000'));
    process.kill(await shimPidOf(pod), 'SIGKILL');
    const status = await container.exited(1000);
    expect(status).toMatchObject({ exit_code: 137, reason: expect.stringMatching(/\S/) });
    expect(await pod.status()).toBe('SANDBOX_NOTREADY');
    expect((await bystander.status()).state).toBe('CONTAINER_RUNNING');
    await container.stop();
    await container.remove();
    await pod.stop();
    await pod.remove();
    await other.remove();
    expect(await berthd.strays()).toEqual([]);
  }, 30_000);

  test('while berthd is away too: the next berthd finds out', async () => {
    const pod = await TestPod.run(berthd);
    const container = await pod.start(shell('sleep 1000'));
    const shim = await shimPidOf(pod);
    await berthd.kill9();
    process.kill(shim, 'SIGKILL');
    await berthd.start();
    expect(await container.status()).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
    expect(await pod.status()).toBe('SANDBOX_NOTREADY');
    await pod.remove();
    expect(await berthd.strays()).toEqual([]);
  }, 30_000);
});

async function shimPidOf(pod: TestPod): Promise<number> {
  const { info } = await pod.berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  const { shimPid } = JSON.parse(info['info'] ?? '{}') as { shimPid?: number };
  if (shimPid === undefined) throw new Error(`inspectp names no shim: ${JSON.stringify(info)}`);
  return shimPid;
}
