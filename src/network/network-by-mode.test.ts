import { expect, test } from '@jest/globals';
import { createCtx, type Ctx } from '#base/ctx';
import { createMetrics } from '#base/metrics';
import { NetworkByMode, type NetworkMaker } from './network-by-mode.ts';
import { networkRequest } from './network-request.fixture.ts';
import { NetworkTimer } from './network-timer.ts';
import { FakePodNetwork } from './pod-network.fake.ts';
import type { NetworkMode, PodNetworkRecord } from './pod-network.ts';

const ctx = createCtx();

class FakeMaker extends FakePodNetwork implements NetworkMaker {
  ended = false;

  constructor(mode: NetworkMode) {
    super();
    this.mode = mode;
  }

  async removeAll(own: Ctx): Promise<void> {
    await this.keepOnly(own, new Set());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ended = true;
  }
}

function open(former?: FakeMaker) {
  const metrics = createMetrics();
  const current = new FakeMaker('builtin');
  const written: string[] = [];
  const addon = {
    writeNetSettings: async (_netns: number, settings: readonly { path: string; value: string }[]) => {
      for (const { path, value } of settings) {
        if (path.includes('/eth9/')) throw Object.assign(new Error(`open ${path}`), { code: 'ENOENT' });
        if (value === 'much') throw Object.assign(new Error(`write ${path}`), { code: 'EINVAL' });
        written.push(`${path}=${value}`);
      }
    },
  };
  const timer = new NetworkTimer(metrics, { monotonicMs: () => 0 });
  return {
    metrics,
    current,
    written,
    network: new NetworkByMode({ current, former, openFormer: () => new FakeMaker('cni'), timer, addon }),
  };
}

async function connect(network: NetworkByMode | FakeMaker, podId: string): Promise<PodNetworkRecord> {
  using netns = await network.takeNamespace(ctx);
  return await network.setUp(ctx, networkRequest(podId, netns));
}

test('new pods are the current one’s; each is torn down by whoever made it', async () => {
  const former = new FakeMaker('cni');
  const { network, current, metrics } = open(former);
  const old = await connect(former, 'old');
  const young = await connect(network, 'young');
  expect([old.mode, young.mode, network.mode]).toEqual(['cni', 'builtin', 'builtin']);
  expect(await network.strays(ctx, new Set())).toHaveLength(2);
  await network.tearDown(ctx, 'old', old);
  expect([former.records.size, current.records.size]).toEqual([0, 1]);
  await network.tearDown(ctx, 'young', young);
  expect(current.records.size).toBe(0);
  const text = await metrics.text();
  expect(text).toContain('berth_network_seconds_count{verb="ADD",outcome="done"} 1');
  expect(text).toContain('berth_network_seconds_count{verb="DEL",outcome="done"} 2');
});

test('settings of an interface are made when that is there', async () => {
  const { network, current, written } = open();
  const sysctls = { 'net.ipv4.conf.eth0.forwarding': '1', 'net.ipv4.conf.eth0/100.forwarding': '1' };
  using netns = await network.takeNamespace(ctx);
  await network.setUp(ctx, networkRequest('a', netns, { sysctls }));
  expect(written).toEqual(['net/ipv4/conf/eth0/forwarding=1', 'net/ipv4/conf/eth0.100/forwarding=1']);
  expect(current.records.size).toBe(1);
});

test.each([
  [
    'an interface that never comes',
    'net.ipv4.conf.eth9.forwarding',
    '1',
    /eth9.forwarding: the pod has no such interf/,
  ],
  ['a value that the kernel does not take', 'net.ipv4.conf.eth0.forwarding', 'much', /does not take the value "much"/],
])('%s is the request’s mistake, and nothing is left', async (_what, name, value, message) => {
  const { network, current } = open();
  using netns = await network.takeNamespace(ctx);
  const sysctls = { [name]: value };
  await expect(network.setUp(ctx, networkRequest('a', netns, { sysctls }))).rejects.toMatchObject({
    ...{ code: 'INVALID_ARGUMENT', message },
  });
  expect(current.records.size).toBe(0);
});

test('what failed is counted as failed', async () => {
  const { network, current, metrics } = open();
  current.failNextSetUp = new Error('ordered');
  await expect(connect(network, 'a')).rejects.toThrow('ordered');
  expect(await metrics.text()).toContain('berth_network_seconds_count{verb="ADD",outcome="failed"} 1');
});

test('a pod of a mode that has nothing left of any pod is as good as torn down', async () => {
  const { network } = open();
  await network.tearDown(ctx, 'a', { mode: 'cni', addresses: [], hostInterface: '' });
});

test('both are emptied and ended', async () => {
  const former = new FakeMaker('cni');
  const { network, current } = open(former);
  await connect(former, 'old');
  await connect(network, 'young');
  await network.removeAll(ctx);
  await network[Symbol.asyncDispose]();
  expect([former.records.size, current.records.size, former.ended, current.ended]).toEqual([0, 0, true, true]);
});
