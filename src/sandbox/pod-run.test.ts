import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { podWith } from './cri-config.fixture.ts';
import { FakeNode, podIdentity } from './sandboxes.fixture.ts';

test.each([
  ['beside its processes', {}],
  ['beside its processes, also where it sets what belongs to an interface', { 'net.ipv6.conf.eth0.accept_ra': '1' }],
])('a pod gets its network %s', async (_when, sysctls) => {
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
  expect(before?.replace(` ${podId}`, '')).toBe('runPod');
  expect(network.requests.at(-1)?.sysctls).toEqual(sysctls);
  expect(it.node.machine.pods.has(podId)).toBe(true);
});

test('a pod’s SELinux options are refused before anything is made, where SELinux is active', async () => {
  const it = await new FakeNode().start();
  it.runtime.features = { ...it.runtime.features, selinux: true };
  const { linux } = podWith({});
  const security = linux?.security_context ?? null;
  if (!linux || !security) throw new Error('the fixture has no security context');
  const selinux_options = { user: '', role: '', type: 'container_t', level: '' };
  const labelled = podIdentity('web', { linux: { ...linux, security_context: { ...security, selinux_options } } });
  await expect(it.sandboxes.runPod(createCtx(), labelled)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  expect(it.sandboxes.listPods()).toEqual([]);
  await it.sandboxes.runPod(createCtx(), podIdentity('web', { linux }));
});
