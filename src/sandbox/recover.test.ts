import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import type { FakeContainer } from '#runtime/machine.fake';
import { changeRecord, exit, leave, shimOf } from './recover.fixture.ts';
import { containerIdentity, FakeNode, impatient, podIdentity, runningContainer, until } from './sandboxes.fixture.ts';

// The rows of docs/reconcile.md.

const ctx = createCtx();

describe('a pod that was ready', () => {
  test('with its shim: adopted, nothing changes, identities are equal', async () => {
    const node = new FakeNode();
    const { podId, created, running } = await leave(node);
    const it = await node.start();
    expect(it.sandboxes.getPod(podId).status.state).toBe('ready');
    expect(it.sandboxes.getContainer(created).status.state).toBe('created');
    expect(it.sandboxes.getContainer(running).status.state).toBe('running');
    expect(it.sandboxes.getPod(podId).identity).toEqual(podIdentity());
    expect(await it.sandboxes.runPod(ctx, podIdentity())).toBe(podId);
    expect(await it.sandboxes.createContainer(ctx, containerIdentity(podId, 'waiting'))).toBe(created);
    const { exitCode } = await it.sandboxes.execSync(ctx, { containerId: running, command: ['true'], timeoutMs: 0 });
    expect(exitCode).toBe(0);
    await it.sandboxes.removePod(ctx, podId);
    expect(await it.sandboxes.check(ctx)).toEqual([]);
  });

  test('without its shim: not ready; exits that the shim wrote count, the others are 137', async () => {
    const node = new FakeNode();
    const { podId, created, running } = await leave(node);
    node.machine.pods.delete(podId);
    node.machine.lost.set(podId, new Map([[running, exit(7)]]));
    const { sandboxes } = await node.start();
    expect(sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'ShimDied' });
    expect(sandboxes.getContainer(running).status).toMatchObject({ state: 'exited', exitCode: 7, finishedAtNs: 9n });
    expect(sandboxes.getContainer(created).status).toMatchObject({ exitCode: 137, reason: 'ShimDied' });
    // The kubelet stops it; only then is its network given back.
    expect(node.network.records.size).toBe(1);
    await sandboxes.stopPod(ctx, podId);
    expect(node.network.records.size).toBe(0);
  });

  test('before a reboot: not ready, its containers exited 255, its network free', async () => {
    const node = new FakeNode();
    const { podId, created, running } = await leave(node);
    node.machine.pods.clear();
    node.bootId = 'boot-2';
    const { sandboxes } = await node.start();
    expect(sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'NodeRebooted' });
    for (const id of [created, running]) {
      expect(sandboxes.getContainer(id).status).toMatchObject({ exitCode: 255, reason: 'NodeRebooted' });
    }
    expect(node.network.records.size).toBe(0);
    await sandboxes.removePod(ctx, podId);
    expect([...node.disk.content.keys()]).toEqual([]);
  });
});

describe('a pod whose pause died while no berthd was there', () => {
  async function leaveWithoutPause() {
    const node = new FakeNode();
    const left = await leave(node);
    const pod = node.machine.pods.get(left.podId);
    if (pod) pod.process = { ...pod.process, pausePid: 0 };
    return { node, ...left };
  }

  test('is not ready; its containers go on, also over the next start', async () => {
    const { node, podId, running } = await leaveWithoutPause();
    for (let start = 0; start < 2; start++) {
      const { sandboxes } = await node.start();
      expect(sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'PauseDied' });
      expect(sandboxes.getContainer(running).status).toMatchObject({ state: 'running' });
      expect(shimOf(node, podId).get(running)?.state).toBe('running');
    }
  });

  test('is stopped and removed as any other', async () => {
    const { node, podId } = await leaveWithoutPause();
    const { sandboxes } = await node.start();
    await sandboxes.stopPod(ctx, podId);
    await sandboxes.removePod(ctx, podId);
    expect([...node.disk.content.keys()]).toEqual([]);
  });
});

describe('with a network of plugins', () => {
  test('recovery does not wait for a plugin, which may need a pod that waits for recovery', async () => {
    const node = new FakeNode();
    node.network.mode = 'cni';
    const { podId } = await leave(node);
    node.machine.pods.clear();
    node.bootId = 'boot-2';
    const plugin = Promise.withResolvers<void>();
    node.network.beforeTearDown = plugin.promise;
    const { sandboxes } = await node.start();
    expect(sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'NodeRebooted' });
    expect(node.network.records.size).toBe(1);
    plugin.resolve();
    await until(() => node.network.records.size === 0);
    await sandboxes.removePod(ctx, podId);
    expect(await sandboxes.check(ctx)).toEqual([]);
  });

  test('what a plugin could not give back then, the next stop gives back', async () => {
    const node = new FakeNode();
    node.network.mode = 'cni';
    const { podId } = await leave(node);
    node.machine.pods.clear();
    node.bootId = 'boot-2';
    node.network.failNextTearDown = new Error('the agent is not there yet');
    const { sandboxes } = await node.start();
    await until(() => node.network.failNextTearDown === undefined);
    // It may still join the attempt that fails.
    await sandboxes.stopPod(ctx, podId).catch(() => undefined);
    await sandboxes.stopPod(ctx, podId);
    expect(node.network.records.size).toBe(0);
    await sandboxes.removePod(ctx, podId);
  });
});

describe('a container', () => {
  test.each<[string, Partial<FakeContainer> | undefined, object]>([
    ['exited meanwhile', { state: 'exited', exit: exit(3) }, { state: 'exited', exitCode: 3, reason: 'Error' }],
    [
      'was killed for its memory',
      { state: 'exited', exit: { ...exit(137), oomKilled: true } },
      { state: 'exited', exitCode: 137, reason: 'OOMKilled' },
    ],
    ['is unknown to its shim', undefined, { state: 'exited', exitCode: 137, reason: 'ContainerDied' }],
  ])('that %s', async (_what, change, expected) => {
    const node = new FakeNode();
    const { podId, running } = await leave(node);
    const container = shimOf(node, podId).get(running);
    if (change && container) Object.assign(container, change);
    else shimOf(node, podId).delete(running);
    const { sandboxes } = await node.start();
    expect(sandboxes.getContainer(running).status).toMatchObject(expected);
    if (change) expect(container?.acknowledged).toBe(true);
  });

  test('that was started just before berthd ended is running', async () => {
    const node = new FakeNode();
    const { podId, created } = await leave(node);
    const container = shimOf(node, podId).get(created);
    if (container) Object.assign(container, { state: 'running', startedAtNs: 5n });
    const { sandboxes } = await node.start();
    expect(sandboxes.getContainer(created).status).toMatchObject({ state: 'running', startedAtNs: 5n });
  });

  test.each<[string, FakeContainer['state'], 'created' | 'running']>([
    ['running as ended', 'running', 'running'],
    ['waiting as ended', 'created', 'created'],
  ])('whose record tells one that is %s is what its shim says', async (_what, state, expected) => {
    const node = new FakeNode();
    const { podId, running } = await leave(node);
    changeRecord(node, 'container', running, (status) => ({ ...status, state: 'exited', exitCode: 1 }));
    Object.assign(shimOf(node, podId).get(running) ?? {}, { state });
    const it = await node.start();
    expect(it.sandboxes.getContainer(running).status).toMatchObject({ state: expected, exitCode: 0 });
    await it.sandboxes.stopContainer(ctx, running, 0);
    expect(shimOf(node, podId).get(running)?.state).toBe('exited');
    expect(it.sandboxes.getContainer(running).status.state).toBe('exited');
  });

  test('that is said to run and only waits, waits', async () => {
    const node = new FakeNode();
    const { podId, running } = await leave(node);
    Object.assign(shimOf(node, podId).get(running) ?? {}, { state: 'created' });
    const { sandboxes } = await node.start();
    expect(sandboxes.getContainer(running).status.state).toBe('created');
    await sandboxes.startContainer(ctx, running);
    expect(shimOf(node, podId).get(running)?.state).toBe('running');
  });

  test('that only the shim knows is ended though it runs, and the owner is told until he has seen it', async () => {
    const node = new FakeNode();
    const { podId, running } = await leave(node);
    for (const key of node.disk.content.keys()) if (key.endsWith(running)) node.disk.content.delete(key);
    node.machine.documents.get(podId)?.containers.delete(running);
    const { sandboxes } = await node.start();
    expect(shimOf(node, podId).has(running)).toBe(false);
    expect([...node.machine.groups.keys()]).not.toContain(running);
    expect(sandboxes.listContainers()).toHaveLength(1);
    expect(await sandboxes.check(ctx)).toEqual([expect.stringMatching(`^ended at the start .*container ${running}`)]);
    await sandboxes.forget(ctx);
    expect(await sandboxes.check(ctx)).toEqual([]);
  });

  test.each(['silent', 'answering'])('that runs though its record says half-made runs (shim %s)', async (shim) => {
    const node = new FakeNode();
    const { podId, running, created } = await leave(node);
    for (const id of [running, created]) {
      changeRecord(node, 'container', id, (status) => ({ ...status, state: 'creating' }));
    }
    changeRecord(node, 'pod', podId, (status) => ({ ...status, state: 'creating', network: undefined }));
    const stopped = Promise.withResolvers<void>();
    if (shim === 'silent') node.machine.stopped.set(podId, stopped);
    const { sandboxes } = await node.start();
    node.machine.stopped.delete(podId);
    stopped.resolve();
    await until(() => sandboxes.findContainer(running)?.status.state === 'running');
    await until(() => !shimOf(node, podId).has(created));
    expect(sandboxes.getPod(podId).status).toMatchObject({ state: 'ready', network: { mode: 'builtin' } });
    expect(shimOf(node, podId).get(running)?.state).toBe('running');
    expect(sandboxes.listContainers()).toHaveLength(1);
    await sandboxes.removePod(ctx, podId);
    expect(await sandboxes.check(ctx)).toEqual([]);
  });

  test('that could not be made nor undone is undone by the next berthd', async () => {
    const node = new FakeNode();
    const { podId, created } = await leave(node);
    changeRecord(node, 'container', created, (status) => ({ ...status, state: 'exited', reason: 'CreateFailed' }));
    const { sandboxes } = await node.start();
    expect(sandboxes.findContainer(created)).toBeUndefined();
    expect(shimOf(node, podId).has(created)).toBe(false);
  });
});

describe('what was half-made is undone', () => {
  test('a pod', async () => {
    const node = new FakeNode();
    const it = await node.start();
    using _held = it.runtime.hold('runPod');
    using short = impatient(10);
    await expect(it.sandboxes.runPod(short, podIdentity())).rejects.toThrow();
    await until(() => node.network.records.size === 1);
    const after = await node.start();
    expect(after.sandboxes.listPods()).toEqual([]);
    expect(node.network.records.size).toBe(0);
    expect([...node.disk.content.keys()]).toEqual([]);
  });

  test('a container', async () => {
    const node = new FakeNode();
    const it = await node.start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    using _held = it.runtime.hold('createContainer');
    using short = impatient(10);
    await expect(it.sandboxes.createContainer(short, containerIdentity(podId))).rejects.toThrow();
    const after = await node.start();
    expect(after.sandboxes.listContainers()).toEqual([]);
    expect(node.images.leases.size).toBe(0);
    expect(readdirSync(path.join(node.root, 'containers'))).toEqual([]);
  });

  test('a stop that was cut short is finished', async () => {
    const node = new FakeNode();
    const it = await node.start();
    const { podId } = await runningContainer(it);
    it.node.network.failNextTearDown = new Error('busy');
    await expect(it.sandboxes.stopPod(ctx, podId)).rejects.toThrow('busy');
    expect(it.sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'StopFailed' });
    expect(node.network.records.size).toBe(1);
    const after = await node.start();
    expect(node.network.records.size).toBe(0);
    expect(after.sandboxes.getPod(podId).status.network).toBeUndefined();
  });
});

describe('what nobody owns', () => {
  test('directories that nobody owns are listed, and removed by the next recovery', async () => {
    const node = new FakeNode();
    const { sandboxes } = await node.start();
    const stray = 'e'.repeat(64);
    mkdirSync(path.join(node.root, 'containers', stray, 'upper'), { recursive: true });
    mkdirSync(path.join(node.root, 'pods', stray));
    expect(await sandboxes.check(ctx)).toHaveLength(2);
    const after = await node.start();
    expect(await after.sandboxes.check(ctx)).toEqual([]);
  });
});

test('the pod CIDRs of the kubelet outlive a restart', async () => {
  const node = new FakeNode();
  const { sandboxes } = await node.start();
  await sandboxes.usePodCidr(ctx, '10.1.2.0/24, fd01::/64');
  node.network.subnets = [];
  await node.start();
  expect(node.network.subnets).toEqual(['10.1.2.0/24', 'fd01::/64']);
});
