import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { BerthError, isBerthError } from '#base/errors';
import { reserveMark } from '#store/patient-disk';
import { FakeReserve, FakeStore } from '#store/store.fake';
import { noResources } from './merge-resources.ts';
import { Pods } from './pods.ts';
import { containerIdentity, FakeNode, kill, podIdentity, until, type TestSandboxes } from './sandboxes.fixture.ts';

// The state disk is full from the n-th write on, for every n, and has room again: nothing runs that is told otherwise, and
// every retry succeeds.

const ctx = createCtx();

/** What a kubelet knows of the pod it makes. */
interface Known {
  podId: string;
  first: string;
  second: string;
}

type Step = readonly [name: string, run: (it: TestSandboxes, known: Known) => Promise<unknown>];

const life: readonly Step[] = [
  ['run pod', async ({ sandboxes }, known) => (known.podId = await sandboxes.runPod(ctx, podIdentity()))],
  ['create', async (it, known) => (known.first = await create(it, known, 'first'))],
  ['start', ({ sandboxes }, { first }) => sandboxes.startContainer(ctx, first)],
  ['update', ({ sandboxes }, { first }) => sandboxes.updateContainer(ctx, first, shares('500'))],
  ['update pod', ({ sandboxes }, { podId }) => sandboxes.updatePod(ctx, podId, podLimits)],
  ['pod CIDR', ({ sandboxes }) => sandboxes.usePodCidr(ctx, '10.1.2.0/24')],
  ['create another', async (it, known) => (known.second = await create(it, known, 'second'))],
  ['start another', ({ sandboxes }, { second }) => sandboxes.startContainer(ctx, second)],
  ['exit', (it, { second }) => exit(it, second)],
  ['stop', ({ sandboxes }, { first }) => sandboxes.stopContainer(ctx, first, 0)],
  ['remove', ({ sandboxes }, { second }) => sandboxes.removeContainer(ctx, second)],
  ['stop pod', ({ sandboxes }, { podId }) => sandboxes.stopPod(ctx, podId)],
  ['remove pod', ({ sandboxes }, { podId }) => sandboxes.removePod(ctx, podId)],
];

const shares = (cpu_shares: string) => ({ ...noResources, cpu_shares });
const podLimits = { overhead: null, resources: shares('700') };

function create({ sandboxes }: TestSandboxes, { podId }: Known, name: string): Promise<string> {
  return sandboxes.createContainer(ctx, containerIdentity(podId, name));
}

async function exit({ sandboxes, runtime }: TestSandboxes, id: string): Promise<void> {
  runtime.exit(id, 3);
  await until(() => sandboxes.findContainer(id)?.status.state === 'exited');
}

/** The steps, until one is refused for lack of room. */
async function play(it: TestSandboxes, known: Known, steps: readonly Step[]): Promise<readonly Step[]> {
  for (const [at, [name, run]] of steps.entries()) {
    try {
      await run(it, known);
    } catch (error) {
      if (!isBerthError(error, 'RESOURCE_EXHAUSTED')) throw new Error(`${name} failed otherwise`, { cause: error });
      expectTrue(it);
      return steps.slice(at);
    }
    expectTrue(it);
  }
  return [];
}

/** What is listed is what the machine has, in the states that it has. */
function expectTrue({ sandboxes, node }: TestSandboxes): void {
  const running = sandboxes.listPods().filter(({ status }) => status.state === 'ready');
  expect(running.map(({ id }) => id)).toEqual([...node.machine.pods.keys()]);
  const machine = [...node.machine.pods.values()].flatMap((pod) => [...pod.containers.values()]);
  for (const { input, state } of machine) expect(sandboxes.getContainer(input.id).status.state).toBe(state);
  const known = new Set(machine.map(({ input }) => input.id));
  for (const { id, status } of sandboxes.listContainers()) if (!known.has(id)) expect(status.state).toBe('exited');
}

/** The next berthd would read what this one has in memory. */
async function expectWritten({ store, node, sandboxes }: TestSandboxes): Promise<void> {
  await store.checkWritable(ctx);
  expect(store.behind).toBeUndefined();
  const { collections } = await Pods.open(
    ctx,
    new FakeStore({ disk: node.disk, bootId: node.bootId }),
    () => undefined,
  );
  const states = (all: readonly { readonly id: string; readonly status: object }[]): Record<string, object> =>
    Object.fromEntries(all.map(({ id, status }) => [id, status]));
  expect(states(collections.pods.values())).toEqual(states(sandboxes.listPods()));
  expect(states(collections.containers.values())).toEqual(states(sandboxes.listContainers()));
}

async function expectNothingLeft(it: TestSandboxes): Promise<void> {
  const { node, sandboxes } = it;
  await expectWritten(it);
  expect(await sandboxes.check(ctx)).toEqual([]);
  expect([...node.disk.content.keys()].filter((key) => key !== reserveMark && key !== 'node/kubelet')).toEqual([]);
  expect(node.machine.pods.size).toBe(0);
  expect(node.network.records.size).toBe(0);
  expect(node.images.leases.size).toBe(0);
  for (const name of ['containers', 'pods']) expect(readdirSync(path.join(node.root, name))).toEqual([]);
}

const reserves: readonly [string, () => FakeReserve | undefined][] = [
  ['a reserve', () => new FakeReserve()],
  ['a reserve that is soon full', () => new FakeReserve(3)],
  ['no reserve', () => undefined],
];

async function writesOfALife(): Promise<number> {
  const node = new FakeNode();
  expect(await play(await node.start(), { podId: '', first: '', second: '' }, life)).toEqual([]);
  return node.disk.writes;
}

describe.each(reserves)('with %s, full from any write on', (_name, reserve) => {
  /** Plays until a call is refused, for every number of writes that still fit. */
  async function forEveryWrite(
    then: (it: TestSandboxes, known: Known, left: readonly Step[]) => Promise<void>,
  ): Promise<void> {
    const writes = await writesOfALife();
    expect(writes).toBeGreaterThan(15);
    for (let room = 0; room <= writes; room++) {
      const node = new FakeNode();
      node.disk.reserve = reserve();
      const it = await node.start();
      node.disk.room = room;
      const known: Known = { podId: '', first: '', second: '' };
      const left = await play(it, known, life);
      await then(it, known, left);
    }
  }

  test('with room again every call that was refused succeeds, and memory, disk and machine agree', async () => {
    await forEveryWrite(async (it, known, left) => {
      it.node.disk.room = Infinity;
      expect(await play(it, known, left.slice(0, 1))).toEqual([]);
      await expectWritten(it);
      expect(await play(it, known, left.slice(1))).toEqual([]);
      await expectNothingLeft(it);
    });
  }, 60_000);

  test('stops and removals go on while it is full', async () => {
    await forEveryWrite(async (it) => {
      const { sandboxes } = it;
      for (const { id } of sandboxes.listContainers()) await sandboxes.stopContainer(ctx, id, 0);
      expectTrue(it);
      for (const { id } of sandboxes.listContainers()) await sandboxes.removeContainer(ctx, id);
      for (const { id } of sandboxes.listPods()) await sandboxes.stopPod(ctx, id);
      expectTrue(it);
      for (const { id } of sandboxes.listPods()) await sandboxes.removePod(ctx, id);
      expect([...sandboxes.listPods(), ...sandboxes.listContainers()]).toEqual([]);
      it.node.disk.room = Infinity;
      await expectNothingLeft(it);
    });
  }, 60_000);

  test('a berthd that is killed then is followed by one that tells what is, on the full disk, and removes it', async () => {
    await forEveryWrite(async (before) => {
      const { node } = before;
      const told = new Map(before.sandboxes.listContainers().map(({ id, status }) => [id, status]));
      await kill(before);
      node.disk.room = 0;
      const it = await node.start();
      expectTrue(it);
      for (const { id, status } of it.sandboxes.listContainers()) expect(status).toMatchObject(kept(told.get(id)));
      await it.sandboxes.removeAll(ctx);
      expect([...it.sandboxes.listPods(), ...it.sandboxes.listContainers()]).toEqual([]);
      node.disk.room = Infinity;
      await expectNothingLeft(it);
    });
  }, 60_000);

  /** What was told of a container holds after a crash. */
  function kept(status: object | undefined): object {
    const { state, exitCode, reason } = (status ?? {}) as Record<string, unknown>;
    return status ? { state, exitCode, reason } : { state: 'told to nobody' };
  }
});

describe('a call whose record cannot be written once', () => {
  test('succeeds the next time, whichever of its writes it was', async () => {
    const writes = await writesOfALife();
    for (let nth = 0; nth < writes; nth++) {
      const node = new FakeNode();
      const it = await node.start();
      const write = node.disk.write.bind(node.disk);
      let count = 0;
      node.disk.write = async (batch) => {
        if (count++ === nth) throw new BerthError('RESOURCE_EXHAUSTED', 'No space left on device');
        await write(batch);
      };
      const known: Known = { podId: '', first: '', second: '' };
      const left = await play(it, known, life);
      await expectWritten(it);
      expect(await play(it, known, left)).toEqual([]);
      await expectNothingLeft(it);
    }
  }, 60_000);
});

describe('a start that happened', () => {
  async function startedUnheard(ends: boolean): Promise<{ it: TestSandboxes; id: string }> {
    const it = await new FakeNode().start();
    const known: Known = { podId: '', first: '', second: '' };
    await play(it, known, life.slice(0, 2));
    const { startContainer } = it.runtime;
    // The shim does it, and its answer does not come.
    it.runtime.startContainer = async (...args) => {
      await startContainer.apply(it.runtime, args);
      throw new BerthError('DEADLINE_EXCEEDED', 'no answer');
    };
    await expect(it.sandboxes.startContainer(ctx, known.first)).rejects.toThrow('no answer');
    it.runtime.startContainer = startContainer;
    if (ends) await exit(it, known.first);
    return { it, id: known.first };
  }

  test('without berthd hearing of it is the success of its retry', async () => {
    const { it, id } = await startedUnheard(false);
    await it.sandboxes.startContainer(ctx, id);
    expect(it.sandboxes.getContainer(id).status.state).toBe('running');
    expectTrue(it);
  });

  test('and has ended since is the success of its retry, once', async () => {
    const { it, id } = await startedUnheard(true);
    await it.sandboxes.startContainer(ctx, id);
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ state: 'exited', exitCode: 3 });
    await expect(it.sandboxes.startContainer(ctx, id)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });

  test.each([false, true])(
    'just before berthd was killed is the success of its retry (ended since: %s)',
    async (ends) => {
      const { it, id } = await startedUnheard(false);
      await kill(it);
      if (ends) it.runtime.exit(id, 3);
      const next = await it.node.start();
      await next.sandboxes.startContainer(ctx, id);
      expect(next.sandboxes.getContainer(id).status.state).toBe(ends ? 'exited' : 'running');
      expectTrue(next);
    },
  );
});

test('an exit is acknowledged to the shim when it is on disk, not before', async () => {
  const node = new FakeNode();
  const it = await node.start();
  const known: Known = { podId: '', first: '', second: '' };
  await play(it, known, life.slice(0, 3));
  node.disk.room = 0;
  await exit(it, known.first);
  expect(it.runtime.container(known.first)?.acknowledged).toBe(false);
  node.disk.room = Infinity;
  await until(() => it.runtime.container(known.first)?.acknowledged === true);
  await expectWritten(it);
});

test('limits that can neither be recorded nor taken back hold, and are told', async () => {
  const node = new FakeNode();
  const it = await node.start();
  const known: Known = { podId: '', first: '', second: '' };
  await play(it, known, life.slice(0, 3));
  const { updateContainer } = it.runtime;
  it.runtime.updateContainer = async (...args) => {
    await updateContainer.apply(it.runtime, args);
    return () => Promise.reject(new Error('EBUSY'));
  };
  node.disk.room = 0;
  await it.sandboxes.updateContainer(ctx, known.first, shares('900'));
  expect(it.sandboxes.getContainer(known.first).status.resources).toMatchObject({ cpu_shares: '900' });
  node.disk.room = Infinity;
  await expectWritten(it);
});

test('what waits for room is in the metrics and in check', async () => {
  const node = new FakeNode();
  const it = await node.start();
  const known: Known = { podId: '', first: '', second: '' };
  await play(it, known, life.slice(0, 3));
  node.disk.room = 0;
  await exit(it, known.first);
  expect(await it.metrics.text()).toMatch(/berth_store_records_waiting 1\n/);
  expect(await it.sandboxes.check(ctx)).toEqual([
    expect.stringMatching(/^1 records that could not be written .*No space/),
  ]);
  node.disk.room = Infinity;
  expect(await it.sandboxes.check(ctx)).toEqual([]);
  expect(await it.metrics.text()).toMatch(/berth_store_records_waiting 0\n/);
});
