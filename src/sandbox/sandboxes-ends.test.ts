import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { containerIdentity, expectClean, FakeNode, podIdentity, runningContainer } from './sandboxes.fixture.ts';

const ctx = createCtx();

describe('ends', () => {
  test('a command that cannot be executed: StartError with its exit code', async () => {
    const it = await new FakeNode().start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    const id = await it.sandboxes.createContainer(ctx, containerIdentity(podId));
    it.runtime.failNext(
      'startContainer',
      new BerthError('START_ERROR', 'no such file', { details: { exitCode: 127 } }),
    );
    await expect(it.sandboxes.startContainer(ctx, id)).rejects.toMatchObject({ code: 'START_ERROR' });
    expect(it.sandboxes.getContainer(id).status).toMatchObject({
      state: 'exited',
      exitCode: 127,
      reason: 'StartError',
    });
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test('one that ends at once was running before it was exited', async () => {
    const it = await new FakeNode().start();
    it.runtime.exitAtStart = 0;
    using events = it.sandboxes.subscribe();
    const { id } = await runningContainer(it);
    await it.sandboxes.getContainer(id).exited.promise;
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ state: 'exited', reason: 'Completed', exitCode: 0 });
    expect(it.sandboxes.getContainer(id).status.startedAtNs).toBeGreaterThan(0n);
    const types: string[] = [];
    while (types.at(-1) !== 'stopped') {
      const event = await events.next();
      if (event?.id === id) types.push(event.type);
    }
    expect(types).toEqual(['created', 'started', 'stopped']);
  });

  test('out of memory has its reason', async () => {
    const it = await new FakeNode().start();
    const { id } = await runningContainer(it);
    it.runtime.exit(id, 137, { oomKilled: true, signal: 9 });
    await it.sandboxes.getContainer(id).exited.promise;
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
  });

  test.each([
    ['loses its shim', 'loseShim'],
    ['has its pause killed', 'endPause'],
  ] as const)('a pod that %s while its network is made is not made', async (_name, happens) => {
    const it = await new FakeNode().start();
    const { network } = it.node;
    const setUp = network.setUp.bind(network);
    network.setUp = async (from, request) => {
      const record = await setUp(from, request);
      for (let turns = 0; turns < 5; turns++) await turn();
      it.runtime[happens](request.podId);
      return record;
    };
    await expect(it.sandboxes.runPod(ctx, podIdentity())).rejects.toMatchObject({ code: 'SHIM_DIED' });
    await expectClean(it);
  });

  test('a pod that loses its shim: not ready, its containers exited 137, all can be removed', async () => {
    const it = await new FakeNode().start();
    const { podId, id } = await runningContainer(it);
    it.runtime.loseShim(podId);
    await it.sandboxes.getContainer(id).exited.promise;
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ exitCode: 137, reason: 'ShimDied' });
    expect(it.sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'ShimDied' });
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test('a pod whose pause is killed: not ready at once with an event, its containers go on, nothing is made in it', async () => {
    const it = await new FakeNode().start();
    const { podId, id } = await runningContainer(it);
    using events = it.sandboxes.subscribe();
    it.runtime.endPause(podId);
    expect(await events.next()).toMatchObject({ id: podId, type: 'stopped', pod: { status: { state: 'notReady' } } });
    expect(it.sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady', reason: 'PauseDied' });
    expect(it.sandboxes.getContainer(id).status.state).toBe('running');
    const late = it.sandboxes.createContainer(ctx, containerIdentity(podId, 'late'));
    await expect(late).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await it.sandboxes.stopPod(ctx, podId);
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ state: 'exited', exitCode: 137 });
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test('an exit that cannot be written is not lost', async () => {
    const it = await new FakeNode().start();
    const { id } = await runningContainer(it);
    it.node.disk.failNextWrite = new BerthError('RESOURCE_EXHAUSTED', 'disk full');
    it.runtime.exit(id, 5);
    await it.sandboxes.getContainer(id).exited.promise;
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ state: 'exited', exitCode: 5 });
  });
});
