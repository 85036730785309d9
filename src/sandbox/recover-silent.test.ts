import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { damage, exit, leave, type Left, shimOf } from './recover.fixture.ts';
import { containerIdentity, FakeNode, impatient, podIdentity, runningContainer, until } from './sandboxes.fixture.ts';

// The rows of docs/reconcile.md for a shim that neither answers nor is dead: stopped, frozen, busy.

const ctx = createCtx();

interface LeftSilent extends Left {
  readonly node: FakeNode;
  readonly shimPid: number | undefined;
  readonly answer: () => void;
}

async function leaveSilent(): Promise<LeftSilent> {
  const node = new FakeNode();
  const left = await leave(node);
  const stopped = Promise.withResolvers<void>();
  node.machine.stopped.set(left.podId, stopped);
  const answer = (): void => {
    node.machine.stopped.delete(left.podId);
    stopped.resolve();
  };
  return { ...left, node, shimPid: node.machine.pods.get(left.podId)?.process.shimPid, answer };
}

describe('a shim that does not answer when berthd starts', () => {
  test('costs its pod nothing: it is listed as it was, and so are its containers', async () => {
    const { node, podId, created, running, shimPid } = await leaveSilent();
    const { sandboxes } = await node.start();
    expect(sandboxes.getPod(podId).status.state).toBe('ready');
    expect(sandboxes.getContainer(created).status.state).toBe('created');
    expect(sandboxes.getContainer(running).status.state).toBe('running');
    expect(node.machine.groups.size).toBe(2);
    expect(await sandboxes.check(ctx)).toEqual([
      expect.stringContaining(
        `the shim of pod ${podId} (pid ${String(shimPid)}) has not answered since berthd started`,
      ),
    ]);
  });

  test('costs nobody else anything: other pods are made, used and removed', async () => {
    const { node } = await leaveSilent();
    const it = await node.start();
    const { podId, id } = await runningContainer(it, 'other');
    await it.sandboxes.execSync(ctx, { containerId: id, command: ['true'], timeoutMs: 0 });
    await it.sandboxes.removePod(ctx, podId);
    expect(it.sandboxes.listPods()).toHaveLength(1);
  });

  test.each<[string, (left: Left, it: Awaited<ReturnType<FakeNode['start']>>, own: typeof ctx) => Promise<unknown>]>([
    ['create', ({ podId }, { sandboxes }, own) => sandboxes.createContainer(own, containerIdentity(podId, 'more'))],
    ['start', ({ created }, { sandboxes }, own) => sandboxes.startContainer(own, created)],
    ['stop', ({ running }, { sandboxes }, own) => sandboxes.stopContainer(own, running, 0)],
    ['remove', ({ running }, { sandboxes }, own) => sandboxes.removeContainer(own, running)],
    ['stop pod', ({ podId }, { sandboxes }, own) => sandboxes.stopPod(own, podId)],
    ['remove pod', ({ podId }, { sandboxes }, own) => sandboxes.removePod(own, podId)],
    [
      'exec',
      ({ running }, { sandboxes }, own) =>
        sandboxes.execSync(own, { containerId: running, command: ['true'], timeoutMs: 0 }),
    ],
    ['reopen log', ({ running }, { sandboxes }, own) => sandboxes.reopenContainerLog(own, running)],
    ['port-forward', ({ podId }, { sandboxes }, own) => sandboxes.dialPod(own, podId, 80)],
  ])('%s waits for it, and goes on when it answers', async (_verb, call) => {
    const { node, answer, ...left } = await leaveSilent();
    const it = await node.start();
    const done = call(left, it, ctx).then(
      () => true,
      () => true,
    );
    let ended = false;
    void done.then(() => (ended = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toBe(false);
    expect(shimOf(node, left.podId).get(left.running)?.signals).toEqual([]);
    answer();
    expect(await done).toBe(true);
  });

  test('says what is the matter to who cannot wait longer', async () => {
    const { node, running, shimPid } = await leaveSilent();
    const { sandboxes } = await node.start();
    using short = impatient(10);
    const exec = sandboxes.execSync(short, { containerId: running, command: ['true'], timeoutMs: 0 });
    await expect(exec).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(new RegExp(`pid ${String(shimPid)}. has not answered since berthd started`)),
    });
  });

  test('that answers later is taken over then: what happened meanwhile is known, and told', async () => {
    const { node, answer, podId, created, running } = await leaveSilent();
    const it = await node.start();
    using events = it.sandboxes.subscribe();
    Object.assign(shimOf(node, podId).get(running) ?? {}, { state: 'exited', exit: exit(4) });
    answer();
    await until(() => it.sandboxes.getContainer(running).status.state === 'exited');
    expect(it.sandboxes.getContainer(running).status).toMatchObject({ exitCode: 4 });
    expect(await events.next()).toMatchObject({ id: running, type: 'stopped' });
    await it.sandboxes.startContainer(ctx, created);
    await it.sandboxes.removePod(ctx, podId);
    expect(await it.sandboxes.check(ctx)).toEqual([]);
  });

  test('that turns out to be dead takes its pod with it only then', async () => {
    const { node, answer, podId, running } = await leaveSilent();
    const it = await node.start();
    const stopping = it.sandboxes.stopPod(ctx, podId);
    node.machine.pods.delete(podId);
    node.machine.lost.set(podId, new Map([[running, exit(5)]]));
    answer();
    await stopping;
    expect(it.sandboxes.getContainer(running).status).toMatchObject({ state: 'exited', exitCode: 5 });
    await it.sandboxes.removePod(ctx, podId);
    expect([node.network.records.size, node.machine.groups.size]).toEqual([0, 0]);
  });

  test('a container made by who waited is not taken for one that the shim does not know', async () => {
    const { node, answer, podId } = await leaveSilent();
    const it = await node.start();
    const making = it.sandboxes.createContainer(ctx, containerIdentity(podId, 'more'));
    answer();
    expect(it.sandboxes.getContainer(await making).status.state).toBe('created');
    await until(() => it.sandboxes.getPod(podId).silent === undefined);
    expect(it.sandboxes.getContainer(await making).status.state).toBe('created');
  });
});

describe('a shim that lives and whose socket is gone', () => {
  async function leaveUnreachable(): Promise<LeftSilent> {
    const left = await leaveSilent();
    left.node.machine.unreachable.add(left.podId);
    return left;
  }

  const unreachable = ({ podId, shimPid }: LeftSilent): string =>
    `the shim of pod ${podId} (pid ${String(shimPid)}) lives, but its socket is gone`;

  test('costs its containers nothing, and is named by check and by every call that needs it, at once', async () => {
    const left = await leaveUnreachable();
    const { sandboxes } = await left.node.start();
    expect(sandboxes.getContainer(left.running).status.state).toBe('running');
    expect(await sandboxes.check(ctx)).toEqual([expect.stringContaining(unreachable(left))]);
    const failure = { code: 'UNAVAILABLE', message: expect.stringContaining(unreachable(left)) };
    const exec = { containerId: left.running, command: ['true'], timeoutMs: 0 };
    await expect(sandboxes.execSync(ctx, exec)).rejects.toMatchObject(failure);
    await expect(sandboxes.stopContainer(ctx, left.running, 0)).rejects.toMatchObject(failure);
    expect(left.node.machine.busy).toHaveLength(2);
  });

  test.each(['stopPod', 'removePod'] as const)('%s ends it with all that is in the pod', async (verb) => {
    const { node, podId, running } = await leaveUnreachable();
    const { sandboxes } = await node.start();
    await sandboxes[verb](ctx, podId);
    expect(node.machine.busy).toEqual([]);
    expect([node.machine.pods.size, node.network.records.size]).toEqual([0, 0]);
    if (verb === 'stopPod') expect(sandboxes.getContainer(running).status).toMatchObject({ exitCode: 137 });
    else expect([...node.disk.content.keys()]).toEqual([]);
    expect(await sandboxes.check(ctx)).toEqual([]);
  });

  test('that cannot be killed is named again by the next call', async () => {
    const left = await leaveUnreachable();
    const { sandboxes, runtime } = await left.node.start();
    runtime.failNext('killSilent', new Error('it does not go'));
    await expect(sandboxes.stopPod(ctx, left.podId)).rejects.toThrow('it does not go');
    await expect(sandboxes.stopContainer(ctx, left.running, 0)).rejects.toThrow(unreachable(left));
    await sandboxes.removePod(ctx, left.podId);
    expect(left.node.machine.pods.size).toBe(0);
  });
});

test('a shim that hangs while berthd runs is told by check', async () => {
  const node = new FakeNode();
  const it = await node.start();
  node.machine.hanging.push('the shim of pod p does not answer');
  expect(await it.sandboxes.check(ctx)).toEqual(['the shim of pod p does not answer']);
});

describe('a silent pod whose records are lost', () => {
  test('is listed from its documents; a container that has processes runs', async () => {
    const { node, answer, podId, created, running } = await leaveSilent();
    node.disk.content.clear();
    node.machine.groups.delete(created);
    const it = await node.start();
    expect(it.sandboxes.getPod(podId).identity).toEqual(podIdentity());
    expect(it.sandboxes.getContainer(running).status.state).toBe('running');
    expect(it.sandboxes.getContainer(created).status.state).toBe('created');
    Object.assign(shimOf(node, podId).get(running) ?? {}, { state: 'exited', exit: exit(6) });
    answer();
    await until(() => it.sandboxes.getContainer(running).status.state === 'exited');
    expect(it.sandboxes.getPod(podId).status.process?.pausePid).toBeGreaterThan(0);
  });

  test('and a container that the shim then does not know is taken away', async () => {
    const { node, answer, podId, running } = await leaveSilent();
    damage(node, 'container', running, 'absent');
    shimOf(node, podId).delete(running);
    node.machine.groups.delete(running);
    const it = await node.start();
    answer();
    await until(() => it.sandboxes.findContainer(running) === undefined);
    await until(() => !node.images.leases.has(running));
    expect(await it.sandboxes.check(ctx)).toEqual([]);
  });
});

test('a half-made pod whose shim is silent is undone when it answers, and holds up nobody', async () => {
  const node = new FakeNode();
  const it = await node.start();
  const { podId } = await runningContainer(it);
  await it.sandboxes[Symbol.asyncDispose]();
  for (const [key, raw] of node.disk.content) {
    if (key.startsWith('pod/')) node.disk.content.delete(key);
    if (key.startsWith('container/') && raw !== '') node.disk.content.delete(key);
  }
  const documents = node.machine.documents.get(podId);
  if (documents) documents.more = undefined;
  const stopped = Promise.withResolvers<void>();
  node.machine.stopped.set(podId, stopped);
  const after = await node.start();
  expect(after.sandboxes.listPods()).toEqual([]);
  expect(await after.sandboxes.runPod(ctx, podIdentity('other'))).not.toBe(podId);
  node.machine.stopped.delete(podId);
  stopped.resolve();
  await until(() => !node.machine.pods.has(podId));
});
