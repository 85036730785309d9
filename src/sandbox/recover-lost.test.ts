import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import {
  allDamages,
  damage,
  type Damage,
  exit,
  leave,
  type Left,
  lostBy,
  shimOf,
  withoutDocuments,
} from './recover.fixture.ts';
import {
  containerIdentity,
  FakeNode,
  kill,
  podIdentity,
  runningContainer,
  type TestSandboxes,
  until,
} from './sandboxes.fixture.ts';

// The rows of docs/reconcile.md where a record is missing, unreadable, of a newer berthd, or contradicts its document.

const ctx = createCtx();

/** Everything can be ended, and then nothing is left. */
async function endsWell({ sandboxes, node }: TestSandboxes): Promise<void> {
  for (const { id } of sandboxes.listPods()) await sandboxes.removePod(ctx, id);
  await sandboxes.forget(ctx);
  expect(await sandboxes.check(ctx)).toEqual([]);
  expect([...node.disk.content.keys()]).toEqual([]);
  expect([node.machine.pods.size, node.machine.groups.size, node.machine.documents.size]).toEqual([0, 0, 0]);
  expect([node.network.records.size, node.images.leases.size]).toEqual([0, 0]);
  expect(readdirSync(path.join(node.root, 'containers'))).toEqual([]);
}

async function runs({ sandboxes, node }: TestSandboxes, { podId, running }: Left): Promise<void> {
  expect(sandboxes.getContainer(running).status).toMatchObject({ state: 'running', exitCode: 0 });
  expect(sandboxes.listContainers().filter(({ status }) => status.state === 'running')).toHaveLength(1);
  expect(shimOf(node, podId).get(running)?.state).toBe('running');
  expect(node.images.leases.has(running)).toBe(true);
  expect(readdirSync(path.join(node.root, 'containers', running))).toContain('upper');
  const { exitCode } = await sandboxes.execSync(ctx, { containerId: running, command: ['true'], timeoutMs: 0 });
  expect(exitCode).toBe(0);
}

describe.each(allDamages)('a container whose record is %s', (how) => {
  test('runs on, is listed once, and can be ended', async () => {
    const node = new FakeNode();
    const left = await leave(node);
    damage(node, 'container', left.running, how);
    const it = await node.start();
    await runs(it, left);
    expect(it.sandboxes.getContainer(left.running).identity).toEqual(containerIdentity(left.podId));
    await it.sandboxes.stopContainer(ctx, left.running, 0);
    expect(it.sandboxes.getContainer(left.running).status.state).toBe('exited');
    await endsWell(it);
  });

  test('waits for its start when it did, and can be started', async () => {
    const node = new FakeNode();
    const { podId, created } = await leave(node);
    damage(node, 'container', created, how);
    const { sandboxes } = await node.start();
    expect(sandboxes.getContainer(created).status.state).toBe('created');
    await sandboxes.startContainer(ctx, created);
    expect(shimOf(node, podId).get(created)?.state).toBe('running');
  });

  test('has ended as its shim says', async () => {
    const node = new FakeNode();
    const { podId, running } = await leave(node);
    damage(node, 'container', running, how);
    Object.assign(shimOf(node, podId).get(running) ?? {}, { state: 'exited', exit: exit(3) });
    const { sandboxes } = await node.start();
    expect(sandboxes.getContainer(running).status).toMatchObject({ state: 'exited', exitCode: 3 });
  });

  test('has ended when the shim of its pod is dead, as that one wrote', async () => {
    const node = new FakeNode();
    const { podId, running, created } = await leave(node);
    damage(node, 'container', running, how);
    node.machine.pods.delete(podId);
    node.machine.lost.set(podId, new Map([[running, exit(7)]]));
    const it = await node.start();
    expect(it.sandboxes.getContainer(running).status).toMatchObject({ state: 'exited', exitCode: 7 });
    expect(it.sandboxes.getContainer(created).status).toMatchObject({ state: 'exited', exitCode: 137 });
    expect(node.machine.busy).toEqual([]);
    await endsWell(it);
  });

  test('is gone with the boot', async () => {
    const node = new FakeNode();
    const { running } = await leave(node);
    damage(node, 'container', running, how);
    node.machine.pods.clear();
    node.machine.groups.clear();
    node.bootId = 'boot-2';
    const it = await node.start();
    expect(it.sandboxes.findContainer(running)?.status.state ?? 'exited').toBe('exited');
    if (how !== 'much newer') await endsWell(it);
  });
});

test.each(lostBy)('a container whose record is %s and that its shim does not know is taken away', async (how) => {
  const node = new FakeNode();
  const { podId, running } = await leave(node);
  damage(node, 'container', running, how);
  shimOf(node, podId).delete(running);
  const it = await node.start();
  expect(it.sandboxes.findContainer(running)).toBeUndefined();
  expect(node.images.leases.has(running)).toBe(false);
  await endsWell(it);
});

test.each<Damage>(['newer', 'much newer'])(
  'a container whose record is %s and that its shim does not know has ended',
  async (how) => {
    const node = new FakeNode();
    const { podId, running } = await leave(node);
    damage(node, 'container', running, how);
    shimOf(node, podId).delete(running);
    const { sandboxes } = await node.start();
    expect(sandboxes.getContainer(running).status).toMatchObject({ state: 'exited', exitCode: 137 });
  },
);

describe.each(allDamages)('a pod whose record is %s', (how) => {
  test('is ready as before: its containers, its address, its name', async () => {
    const node = new FakeNode();
    const left = await leave(node);
    const { addresses } = node.network.records.get(left.podId) ?? {};
    damage(node, 'pod', left.podId, how);
    const it = await node.start();
    const { status, identity } = it.sandboxes.getPod(left.podId);
    expect(status).toMatchObject({ state: 'ready', network: { addresses }, process: { pausePid: expect.any(Number) } });
    expect(status.process?.pausePid).toBeGreaterThan(0);
    expect(identity).toEqual(podIdentity());
    expect(node.network.records.get(left.podId)?.addresses).toEqual(addresses);
    await runs(it, left);
    expect(await it.sandboxes.runPod(ctx, podIdentity())).toBe(left.podId);
    await endsWell(it);
  });

  test('is not ready when its shim is dead; its stop gives back the network', async () => {
    const node = new FakeNode();
    const { podId, running } = await leave(node);
    damage(node, 'pod', podId, how);
    node.machine.pods.delete(podId);
    const it = await node.start();
    expect(it.sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'ShimDied' });
    expect(it.sandboxes.getContainer(running).status.state).toBe('exited');
    await it.sandboxes.stopPod(ctx, podId);
    expect(node.network.records.size).toBe(0);
    await endsWell(it);
  });
});

test('documents of an earlier boot, where the directory of run outlived it, make nobody again', async () => {
  const node = new FakeNode();
  await leave(node);
  node.disk.content.clear();
  node.machine.pods.clear();
  node.machine.groups.clear();
  node.bootId = 'boot-2';
  const it = await node.start();
  expect([it.sandboxes.listPods(), it.sandboxes.listContainers()]).toEqual([[], []]);
  await endsWell(it);
});

test('a pod that was not whole when its record was lost is undone', async () => {
  const node = new FakeNode();
  const { podId } = await leave(node);
  damage(node, 'pod', podId, 'absent');
  const documents = node.machine.documents.get(podId);
  if (documents) documents.more = undefined;
  const it = await node.start();
  expect(it.sandboxes.listPods()).toEqual([]);
  await endsWell(it);
});

test('the whole store is lost: every pod and container is there again', async () => {
  const node = new FakeNode();
  const one = await leave(node, 'one');
  const two = await leave(node, 'two');
  const addresses = [...node.network.records.values()].flatMap((record) => record.addresses);
  node.disk.content.clear();
  node.network.records.clear();
  node.images.leases.clear();
  const it = await node.start();
  expect(
    it.sandboxes
      .listPods()
      .map(({ id }) => id)
      .sort(),
  ).toEqual([one.podId, two.podId].sort());
  expect(it.sandboxes.listContainers().filter(({ status }) => status.state === 'running')).toHaveLength(2);
  expect([...node.network.records.values()].flatMap((record) => record.addresses).sort()).toEqual(addresses.sort());
  expect([...node.images.leases.keys()].sort()).toEqual([one.running, one.created, two.running, two.created].sort());
  // And once more from what was written.
  const again = await node.start();
  expect(again.sandboxes.listContainers()).toHaveLength(4);
  await endsWell(again);
});

test('nothing is released before what runs has its lease again', async () => {
  const node = new FakeNode();
  const { podId, running, created } = await leave(node);
  // Two of one image: one is undone by recovery, and the lease of the other is lost.
  damage(node, 'container', created, 'absent');
  shimOf(node, podId).delete(created);
  node.images.leases.delete(running);
  const heldAtRelease: boolean[] = [];
  const release = node.images.release.bind(node.images);
  node.images.release = async (own, id) => {
    heldAtRelease.push(node.images.leases.has(running));
    await release(own, id);
  };
  await node.start();
  expect(heldAtRelease).toEqual([true]);
});

test('a record of a newer berthd is left as it is until its pod is removed', async () => {
  const node = new FakeNode();
  const { podId, running } = await leave(node);
  damage(node, 'pod', podId, 'much newer');
  damage(node, 'container', running, 'newer');
  const before = [node.disk.content.get(`pod/${podId}`), node.disk.content.get(`container/${running}`)];
  const it = await node.start();
  await it.sandboxes.stopContainer(ctx, running, 0);
  await it.sandboxes.stopPod(ctx, podId);
  expect([node.disk.content.get(`pod/${podId}`), node.disk.content.get(`container/${running}`)]).toEqual(before);
  expect(it.sandboxes.getPod(podId).status.state).toBe('notReady');
  const lines = await it.sandboxes.check(ctx);
  expect(lines).toEqual([
    expect.stringContaining(`record pod/${podId}: written by a newer berthd`),
    expect.stringContaining(`record container/${running}: written by a newer berthd`),
  ]);
  await endsWell(it);
});

test('what a newer berthd wrote so that nothing can be read of it is not ended', async () => {
  const node = new FakeNode();
  const { podId, running, created } = await leave(node);
  withoutDocuments(node);
  damage(node, 'pod', podId, 'much newer');
  damage(node, 'container', running, 'much newer');
  const before = new Map(node.disk.content);
  const { sandboxes } = await node.start();
  expect(sandboxes.listPods()).toEqual([]);
  expect([...shimOf(node, podId).keys()].sort()).toEqual([running, created].sort());
  expect(node.machine.groups.size).toBe(2);
  expect(node.network.records.size).toBe(1);
  expect(node.images.leases.has(created)).toBe(true);
  expect(readdirSync(path.join(node.root, 'containers'))).toHaveLength(2);
  expect(node.disk.content).toEqual(before);
  expect(await sandboxes.check(ctx)).toHaveLength(2);
});

describe('what neither a record nor a document tells of', () => {
  test.each([true, false])(
    'is ended completely, also below the parents of a kubelet (shim there: %s)',
    async (hasShim) => {
      const node = new FakeNode();
      const it = await node.start();
      const cgroup_parent = '/kubepods/burstable/pod1';
      const linux = { ...podIdentity().config.linux, cgroup_parent } as ReturnType<
        typeof podIdentity
      >['config']['linux'];
      const podId = await it.sandboxes.runPod(ctx, podIdentity('web', { linux }));
      const id = await it.sandboxes.createContainer(ctx, containerIdentity(podId));
      await it.sandboxes.startContainer(ctx, id);
      await it.sandboxes[Symbol.asyncDispose]();
      expect(node.machine.groups.get(id)?.path).toBe(`${cgroup_parent}/${id}`);
      withoutDocuments(node);
      node.disk.content.clear();
      if (!hasShim) node.machine.pods.clear();
      const kept = await node.start();
      expect(kept.sandboxes.listPods()).toEqual([]);
      expect([node.machine.pods.size, node.machine.groups.size, node.network.records.size]).toEqual([0, 0, 0]);
      const lines = await kept.sandboxes.check(ctx);
      expect(lines.length).toBeGreaterThan(0);
      expect(lines.every((line) => line.startsWith('ended at the start of berthd'))).toBe(true);
      await endsWell(kept);
    },
  );

  test.each(['pod', 'container'])('costs nobody else anything (%s)', async (kind) => {
    const node = new FakeNode();
    const { podId, running } = await leave(node);
    const other = await node.start();
    const kept = await runningContainer(other, 'kept');
    await kill(other);
    const documents = node.machine.documents.get(podId);
    if (documents) documents.pod = undefined;
    documents?.containers.clear();
    damage(node, kind === 'pod' ? 'pod' : 'container', kind === 'pod' ? podId : running, 'damaged');
    const it = await node.start();
    expect(it.sandboxes.getContainer(kept.id).status.state).toBe('running');
    expect([...node.machine.groups.keys()]).not.toContain(running);
    await until(() => it.store.quarantined.length > 0);
    await endsWell(it);
  });
});

test('a record under a key of no kind is told until it is forgotten', async () => {
  const node = new FakeNode();
  node.disk.content.set('cont/x', '{}');
  const it = await node.start();
  expect(await it.sandboxes.check(ctx)).toEqual([expect.stringMatching('^record cont/x: of a kind that this berthd')]);
  expect(await it.sandboxes.forget(ctx)).toEqual([expect.stringMatching('^record cont/x: of a kind')]);
  expect(await it.sandboxes.check(ctx)).toEqual([]);
});

test('a bad record is told with what became of its pod or container, and what to do', async () => {
  const node = new FakeNode();
  const { podId, running } = await leave(node);
  damage(node, 'container', running, 'damaged');
  node.disk.content.set(`container/${'0'.repeat(64)}`, 'nonsense');
  const it = await node.start();
  const lines = await it.sandboxes.check(ctx);
  const made =
    /; the container was made again from its document and is running; berth check --forget deletes the bad copy$/;
  expect(lines.filter((line) => line.includes(running))).toEqual([expect.stringMatching(made)]);
  expect(lines.filter((line) => line.includes('000000'))).toEqual([
    expect.stringMatching(/; nothing is left of this container; berth check --forget deletes/),
  ]);
  expect(podId).not.toBe('');
  expect(await it.sandboxes.forget(ctx)).toEqual(lines);
});
