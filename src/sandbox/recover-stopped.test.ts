import { rmSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { changeRecord, leave, type Left } from './recover.fixture.ts';
import { FakeNode, runningContainer, until } from './sandboxes.fixture.ts';

// The rows of docs/reconcile.md for pods whose stop failed, and for those that are stopped.

const ctx = createCtx();

/** Nobody waits so long: a recovery that did would outlive its test. */
const patientTimeouts = {
  ...{ runPodMs: 60_000, createContainerMs: 60_000, startContainerMs: 60_000 },
  ...{ removeMs: 60_000, killMs: 60_000, volumeMs: 60_000 },
};

/** A pod whose stop failed, since a process of its container hangs in the kernel; and then no berthd. */
async function leaveHung(mode: 'builtin' | 'cni'): Promise<{ node: FakeNode; podId: string; id: string }> {
  const node = new FakeNode();
  node.network.mode = mode;
  const it = await node.start();
  const { podId, id } = await runningContainer(it);
  node.machine.hung.add(id);
  await expect(it.sandboxes.stopPod(ctx, podId)).rejects.toThrow('its processes are still there');
  expect(it.sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'StopFailed' });
  await it.sandboxes[Symbol.asyncDispose]();
  return { node, podId, id };
}

describe.each(['builtin', 'cni'] as const)('a pod (%s) whose stop failed for a process that hangs', (mode) => {
  test('holds up no start; its container runs until its processes are gone, and then it can be removed', async () => {
    const { node, podId, id } = await leaveHung(mode);
    const { sandboxes } = await node.start({ timeouts: patientTimeouts });
    expect(sandboxes.getContainer(id).status.state).toBe('running');
    expect(node.machine.pods.has(podId)).toBe(true);
    const removing = sandboxes.removePod(ctx, podId);
    node.machine.hung.delete(id);
    node.machine.exit(id, 137, { signal: 9 });
    await removing;
    expect([...node.disk.content.keys()]).toEqual([]);
    expect([node.network.records.size, node.machine.groups.size]).toEqual([0, 0]);
    expect(await sandboxes.check(ctx)).toEqual([]);
  });
});

test('a stop that recovery tries again is told by check until somebody has finished it', async () => {
  const { node, podId, id } = await leaveHung('builtin');
  const { sandboxes } = await node.start();
  const told = expect.stringMatching(`not done yet: finish the stop of pod ${podId}: .*its processes are still there`);
  expect(await sandboxes.check(ctx)).toEqual([told]);
  node.machine.hung.delete(id);
  await sandboxes.stopPod(ctx, podId);
  expect(sandboxes.getContainer(id).status).toMatchObject({ state: 'exited', exitCode: 137 });
  expect(await sandboxes.check(ctx)).toEqual([]);
});

test('a stop that recovery tries again ends by itself when the processes have gone', async () => {
  const { node, podId, id } = await leaveHung('builtin');
  const { sandboxes } = await node.start();
  node.machine.hung.delete(id);
  await until(() => !node.machine.pods.has(podId) && node.network.records.size === 0);
  await until(() => sandboxes.getContainer(id).status.state === 'exited');
});

test('a stop that was cut short is finished when a shim that was silent answers', async () => {
  const { node, podId, id } = await leaveHung('builtin');
  node.machine.hung.delete(id);
  const stopped = Promise.withResolvers<void>();
  node.machine.stopped.set(podId, stopped);
  const { sandboxes } = await node.start({ timeouts: patientTimeouts });
  expect(sandboxes.getPod(podId).status.network).toBeDefined();
  node.machine.stopped.delete(podId);
  stopped.resolve();
  await until(() => !node.machine.pods.has(podId) && node.network.records.size === 0);
});

test('a removal that was cut short and cannot go on holds up no start', async () => {
  const { node, podId } = await leaveHung('builtin');
  rmSync(path.join(node.root, 'pods', podId), { recursive: true });
  const { sandboxes } = await node.start({ timeouts: patientTimeouts });
  expect(sandboxes.findPod(podId)).toBeDefined();
});

describe('a pod that is stopped, with a container that its record says runs', () => {
  async function leaveStopped(state: 'created' | 'running'): Promise<Left & { node: FakeNode }> {
    const node = new FakeNode();
    const left = await leave(node);
    const it = await node.start();
    await it.sandboxes.stopPod(ctx, left.podId);
    await it.sandboxes[Symbol.asyncDispose]();
    changeRecord(node, 'container', left.running, (status) => ({ ...status, state, exitCode: 0, reason: '' }));
    return { ...left, node };
  }

  test.each(['created', 'running'] as const)('%s: it has ended, and both can be removed', async (state) => {
    const { node, podId, running } = await leaveStopped(state);
    const { sandboxes } = await node.start();
    const exited = { state: 'exited', exitCode: 137, reason: 'ContainerDied', message: 'it ended with its pod' };
    expect(sandboxes.getContainer(running).status).toMatchObject(exited);
    await sandboxes.stopContainer(ctx, running, 0);
    await sandboxes.removePod(ctx, podId);
    expect([...node.disk.content.keys()]).toEqual([]);
    expect(await sandboxes.check(ctx)).toEqual([]);
  });

  test('what still is in its control group is ended first', async () => {
    const { node, podId, running } = await leaveStopped('running');
    node.machine.groups.set(running, { podId, path: `/berth/${running}`, living: true });
    const { sandboxes } = await node.start();
    expect(node.machine.busy).toEqual([]);
    expect(sandboxes.getContainer(running).status.state).toBe('exited');
  });
});
