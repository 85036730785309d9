import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { podWith } from './cri-config.fixture.ts';
import { FakeNode, podIdentity } from './sandboxes.fixture.ts';

test.each([
  ['beside its processes', {}, 'runPod'],
  ['beside its processes', { 'net.ipv6.conf.all.hop_limit': '9' }, 'runPod'],
  ['before them, where they set what belongs to its interface', { 'net.ipv6.conf.eth0.accept_ra': '1' }, 'nothing'],
])('a pod gets its network %s', async (_when, sysctls, had) => {
  const it = await new FakeNode().start();
  const { network } = it.node;
  const setUp = network.setUp.bind(network);
  let before: string | undefined;
  network.setUp = async (ctx, request) => {
    for (let turns = 0; turns < 5; turns++) await turn();
    before = it.runtime.calls.join() || 'nothing';
    return setUp(ctx, request);
  };
  const podId = await it.sandboxes.runPod(createCtx(), podIdentity('web', { linux: podWith({}, { sysctls }).linux }));
  expect(before?.replace(` ${podId}`, '')).toBe(had);
  expect(it.node.machine.pods.has(podId)).toBe(true);
});
