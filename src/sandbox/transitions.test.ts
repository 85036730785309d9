import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import {
  containerIdentity,
  FakeNode,
  podIdentity,
  runningContainer,
  until,
  type TestSandboxes,
} from './sandboxes.fixture.ts';

const ctx = createCtx();

/** Everything that is told from now on, as "pod stopped", "container deleted". */
function listen(it: TestSandboxes, podId: string): { readonly told: string[] } & Disposable {
  const subscription = it.sandboxes.subscribe();
  const told: string[] = [];
  const follow = async (): Promise<void> => {
    for (let event = await subscription.next(); event; event = await subscription.next())
      told.push(`${event.id === podId ? 'pod' : 'container'} ${event.type}`);
  };
  const following = follow();
  following.catch(() => undefined);
  return { told, [Symbol.dispose]: () => subscription[Symbol.dispose]() };
}

type End = (it: TestSandboxes, podId: string, id: string) => Promise<unknown> | void;

const exited = (it: TestSandboxes, id: string): boolean => it.sandboxes.getContainer(id).status.state === 'exited';
const notReady = (it: TestSandboxes, podId: string): boolean => it.sandboxes.getPod(podId).status.state === 'notReady';

/** Ways in which a pod with a running container ends before its stop and removal. */
const ends: readonly [string, End][] = [
  [
    'its shim dies',
    async (it, podId, id) => {
      it.runtime.loseShim(podId);
      await until(() => exited(it, id) && notReady(it, podId));
    },
  ],
  [
    'its pause dies',
    async (it, podId) => {
      it.runtime.endPause(podId);
      await until(() => notReady(it, podId));
    },
  ],
  [
    'it is stopped, and stopped again',
    async (it, podId) => {
      await it.sandboxes.stopPod(ctx, podId);
      await it.sandboxes.stopPod(ctx, podId);
    },
  ],
  [
    'its container ends by itself',
    async (it, _podId, id) => {
      it.runtime.exit(id, 3);
      await until(() => exited(it, id));
    },
  ],
  [
    'its stop fails half-way',
    async (it, podId) => {
      it.runtime.failNext('endPod', new BerthError('KERNEL', 'no'));
      await it.sandboxes.stopPod(ctx, podId).catch(() => undefined);
      await until(() => notReady(it, podId));
    },
  ],
  ['nothing happens to it', () => undefined],
];

describe('each change is told once', () => {
  test.each(ends)('of a pod when %s', async (_name, end) => {
    const it = await new FakeNode().start();
    const { podId, id } = await runningContainer(it);
    using events = listen(it, podId);
    await end(it, podId, id);
    await it.sandboxes.stopPod(ctx, podId);
    await it.sandboxes.removePod(ctx, podId);
    await until(() => events.told.includes('pod deleted'));
    expect(events.told.toSorted()).toEqual(['container deleted', 'container stopped', 'pod deleted', 'pod stopped']);
  });

  test('of a container whose command cannot be executed, and whose shim has told its end before', async () => {
    const it = await new FakeNode().start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    using events = listen(it, podId);
    const id = await it.sandboxes.createContainer(ctx, containerIdentity(podId));
    it.runtime.failNext(
      'startContainer',
      new BerthError('START_ERROR', 'execve: ENOENT', { details: { exitCode: 127 } }),
    );
    await expect(it.sandboxes.startContainer(ctx, id)).rejects.toMatchObject({ code: 'START_ERROR' });
    await it.sandboxes.removeContainer(ctx, id);
    await until(() => events.told.includes('container deleted'));
    expect(events.told).toEqual(['container created', 'container stopped', 'container deleted']);
  });

  test('what could not be made was never there', async () => {
    const it = await new FakeNode().start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    using events = listen(it, podId);
    it.runtime.failNext('createContainer', new BerthError('KERNEL', 'no'));
    await expect(it.sandboxes.createContainer(ctx, containerIdentity(podId))).rejects.toThrow('no');
    it.runtime.failNext('runPod', new BerthError('KERNEL', 'no'));
    await expect(it.sandboxes.runPod(ctx, podIdentity('other'))).rejects.toThrow('no');
    await it.sandboxes.removePod(ctx, podId);
    await until(() => events.told.includes('pod deleted'));
    expect(events.told).toEqual(['pod stopped', 'pod deleted']);
  });
});
