import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Clock } from '#base/clock';
import { createCtx } from '#base/ctx';
import { silentLogger } from '#base/log';
import type { CgroupStats } from '#runtime/cgroup/stats';
import { interfaceLimit } from '#runtime/stats';
import type { podConfig } from './cri-config.fixture.ts';
import { containerIdentity, FakeNode, impatient, podIdentity, type TestSandboxes, until } from './sandboxes.fixture.ts';

const ctx = createCtx();
const second = 1_000_000_000n;
const epoch = 1_700_000_000n * second;

/** Time that only the test moves. */
class TestClock implements Clock {
  ms = 0;
  nowNs = (): bigint => epoch + BigInt(this.ms) * 1_000_000n;
  monotonicMs = (): number => this.ms;
}

let clock: TestClock;
let it: TestSandboxes;

beforeEach(async () => {
  clock = new TestClock();
  it = await new FakeNode().start({ clock, statsIntervalMs: 3_600_000 });
  // The sample at the start finds nobody.
  await it.sandboxes.stats.fresh(ctx);
});
afterEach(() => it.sandboxes[Symbol.asyncDispose]());

const samples = (): number => it.runtime.calls.filter((call) => call.startsWith('sample')).length;
const group = (usageNs: bigint): CgroupStats => ({
  cpu: { usageNs },
  memory: { usage: 3n, workingSet: 2n, rss: 1n },
  pids: { current: 4n },
});

async function start(pod = 'web', config: Parameters<typeof podConfig>[0] = {}, container = 'app') {
  const podId = await it.sandboxes.runPod(ctx, podIdentity(pod, config));
  return addTo(podId, container);
}

async function addTo(podId: string, name: string) {
  it.node.machine.now = clock.nowNs();
  const id = await it.sandboxes.createContainer(ctx, containerIdentity(podId, name));
  await it.sandboxes.startContainer(ctx, id);
  return { podId, id, cgroupPath: it.sandboxes.getContainer(id).made.cgroupPath };
}

describe('a container', () => {
  test('that is new is sampled at once, and its rate is that since its start', async () => {
    const { id, cgroupPath } = await start();
    it.node.machine.usage.set(cgroupPath, group(second));
    clock.ms += 4000;
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.container(id)).toMatchObject({ atNs: clock.nowNs(), group: group(second) });
    expect(Number(it.sandboxes.stats.container(id)?.nanoCores)).toBeCloseTo(250_000_000, -2);
  });

  test('has the rate between its last two samples', async () => {
    const { id, cgroupPath } = await start();
    it.node.machine.usage.set(cgroupPath, group(second));
    await it.sandboxes.stats.fresh(ctx);
    clock.ms += 2000;
    it.node.machine.usage.set(cgroupPath, group(2n * second));
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.container(id)?.nanoCores).toBe(second / 2n);
  });

  test('whose counter went backwards has none, rather than a wrong one', async () => {
    const { id, cgroupPath } = await start();
    for (const usage of [5n, 4n]) {
      it.node.machine.usage.set(cgroupPath, group(usage * second));
      clock.ms += 1000;
      await it.sandboxes.stats.fresh(ctx);
    }
    expect(it.sandboxes.stats.container(id)).not.toHaveProperty('nanoCores');
  });

  test('that cannot be read hides no other', async () => {
    const broken = await start();
    const well = await addTo(broken.podId, 'well');
    it.node.machine.usage.set(broken.cgroupPath, undefined);
    it.node.machine.usage.set(well.cgroupPath, group(7n));
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.container(broken.id)).not.toHaveProperty('group');
    expect(it.sandboxes.stats.container(well.id)).toMatchObject({ group: group(7n) });
    // And is not asked for again by everybody who looks.
    const before = samples();
    await it.sandboxes.stats.fresh(ctx);
    expect(samples()).toBe(before);
  });

  test('that has ended has no numbers any more', async () => {
    const { id, cgroupPath } = await start();
    it.node.machine.usage.set(cgroupPath, group(7n));
    await it.sandboxes.stats.fresh(ctx);
    await it.sandboxes.stopContainer(ctx, id, 0);
    clock.ms += 1000;
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.container(id)).toBeUndefined();
  });
});

describe('many callers', () => {
  test('share one sample', async () => {
    await start();
    const before = samples();
    await Promise.all(Array.from({ length: 100 }, () => it.sandboxes.stats.fresh(ctx)));
    expect(samples() - before).toBe(1);
    clock.ms += 499;
    await it.sandboxes.stats.fresh(ctx);
    expect(samples() - before).toBe(1);
    clock.ms += 1;
    await it.sandboxes.stats.fresh(ctx);
    expect(samples() - before).toBe(2);
  });

  test('of the same detail share one, too, and detail is kept longer', async () => {
    const { id, cgroupPath } = await start();
    it.node.machine.usage.set(cgroupPath, group(7n));
    it.node.machine.processes.set(id, { descriptors: 9n, sockets: 2n });
    await Promise.all(Array.from({ length: 10 }, (_, at) => it.sandboxes.stats.fresh(ctx, at % 2 === 0)));
    expect(it.runtime.calls.filter((call) => call === 'sample detail')).toHaveLength(1);
    expect(it.sandboxes.stats.detailed(id)).toMatchObject({ processes: { descriptors: 9n, sockets: 2n } });
    clock.ms += 4000;
    await it.sandboxes.stats.fresh(ctx);
    await it.sandboxes.stats.fresh(ctx, true);
    expect(it.runtime.calls.filter((call) => call === 'sample detail')).toHaveLength(1);
    expect(it.sandboxes.stats.detailed(id)).toHaveProperty('processes');
  });

  test('get the last numbers when new ones do not come', async () => {
    const { id, cgroupPath } = await start();
    it.node.machine.usage.set(cgroupPath, group(7n));
    await it.sandboxes.stats.fresh(ctx);
    using _stuck = it.runtime.hold('sample');
    clock.ms += 60_000;
    using caller = impatient(10);
    await it.sandboxes.stats.fresh(caller);
    expect(it.sandboxes.stats.container(id)).toMatchObject({ group: group(7n) });
  });

  test('outlive a sample that fails', async () => {
    const { id, cgroupPath } = await start();
    it.node.machine.usage.set(cgroupPath, group(7n));
    await it.sandboxes.stats.fresh(ctx);
    it.runtime.failNext('sample', new Error('EAGAIN'));
    clock.ms += 1000;
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.container(id)).toMatchObject({ group: group(7n) });
    clock.ms += 1000;
    it.node.machine.usage.set(cgroupPath, group(8n));
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.container(id)).toMatchObject({ group: group(8n) });
  });

  test('of a node without pods cause no reading at all', async () => {
    const before = samples();
    clock.ms += 60_000;
    await it.sandboxes.stats.fresh(ctx);
    expect(samples()).toBe(before);
  });
});

describe('a pod', () => {
  const parent = { linux: { cgroup_parent: '/kubepods/pod1' } } as Parameters<typeof podConfig>[0];

  test('has the numbers of its own group', async () => {
    const { podId, cgroupPath } = await start('web', parent);
    it.node.machine.usage.set('/kubepods/pod1', group(9n));
    it.node.machine.usage.set(cgroupPath, group(7n));
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.pod(podId)).toMatchObject({ group: group(9n) });
  });

  test('has the sum of its containers without one, also when some have ended', async () => {
    const one = await start();
    const two = await addTo(one.podId, 'two');
    it.node.machine.usage.set(one.cgroupPath, group(7n));
    it.node.machine.usage.set(two.cgroupPath, group(5n));
    await it.sandboxes.stats.fresh(ctx);
    const sum = { memory: { usage: 6n, workingSet: 4n, rss: 2n }, pids: { current: 8n } };
    expect(it.sandboxes.stats.pod(one.podId)?.group).toMatchObject({ cpu: { usageNs: 12n }, ...sum });
    await it.sandboxes.stopContainer(ctx, one.id, 0);
    clock.ms += 1000;
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.pod(one.podId)?.group).toMatchObject({
      cpu: { usageNs: 12n },
      memory: { usage: 3n },
      pids: { current: 4n },
    });
  });

  test('shares no numbers with another that names the same parent', async () => {
    const one = await start('one', parent);
    const two = await start('two', parent);
    it.node.machine.usage.set('/kubepods/pod1', group(100n));
    it.node.machine.usage.set(one.cgroupPath, group(7n));
    it.node.machine.usage.set(two.cgroupPath, group(5n));
    await it.sandboxes.stats.fresh(ctx);
    const usage = (id: string) => it.sandboxes.stats.pod(id)?.group.cpu?.usageNs;
    expect([usage(one.podId), usage(two.podId)]).toEqual([7n, 5n]);
  });

  test('on the node’s network has no traffic of its own', async () => {
    const host = { linux: { security_context: { namespace_options: { network: 'NODE' } } } } as typeof parent;
    const node = await start('node', host);
    const own = await start('own');
    const eth0 = [{ name: 'eth0', rx: traffic(1n), tx: traffic(2n) }];
    for (const { podId } of [node, own]) it.node.machine.networks.set(podId, eth0);
    await it.sandboxes.stats.fresh(ctx);
    expect(it.sandboxes.stats.pod(own.podId)?.network).toEqual(eth0);
    expect(it.sandboxes.stats.pod(node.podId)).not.toHaveProperty('network');
  });
});

describe('who has more than is told of', () => {
  const told: string[] = [];
  beforeEach(async () => {
    told.length = 0;
    const warn = (fields: object, message: string): void =>
      void told.push(`${Object.values(fields).join(' ')}: ${message}`);
    const log = { ...silentLogger, warn };
    it = await new FakeNode().start({ clock, statsIntervalMs: 3_600_000, log });
  });
  const samplesWithDetail = async (times: number): Promise<void> => {
    for (let time = 0; time < times; time++) {
      clock.ms += 10_000;
      await it.sandboxes.stats.fresh(ctx, true);
    }
  };

  test('a pod with very many interfaces and a container with very many devices are named once each', async () => {
    const crowded = await start('crowded');
    const usual = await start('usual');
    const interfaces = Array.from({ length: interfaceLimit + 1 }, (_, at) => ({
      ...{ name: `br${at}`, rx: traffic(1n), tx: traffic(2n) },
    }));
    it.node.machine.networks.set(crowded.podId, interfaces);
    it.node.machine.networks.set(usual.podId, interfaces.slice(1));
    it.node.machine.usage.set(crowded.cgroupPath, { ...group(1n), moreDevices: true });
    await samplesWithDetail(3);
    expect(told).toEqual([
      `${crowded.podId}: the pod has more network interfaces than the 32 that are reported`,
      `${crowded.podId} ${crowded.id}: the container has used more block devices than the 64 that are reported`,
    ]);
    expect(it.sandboxes.stats.pod(crowded.podId)?.network).toHaveLength(interfaceLimit);
  });
});

const traffic = (bytes: bigint) => ({ bytes, packets: 1n, errors: 0n, dropped: 0n });

describe('a writable layer', () => {
  const write = (id: string, name: string, bytes: number): void =>
    writeFileSync(path.join(it.node.root, 'containers', id, 'upper', name), Buffer.alloc(bytes, 1));

  test('is measured before the first answer, again later, and counted with the others', async () => {
    const { id } = await start();
    await it.sandboxes.stats.fresh(ctx);
    const empty = it.sandboxes.stats.layer(id);
    expect(empty?.inodes).toBeGreaterThanOrEqual(3n);
    write(id, 'x', 1 << 20);
    clock.ms += 1000;
    await it.sandboxes.stats.fresh(ctx);
    // Nobody waited for this walk: the next answer has it.
    await until(() => it.sandboxes.stats.layer(id)?.inodes !== empty?.inodes);
    const full = it.sandboxes.stats.layer(id);
    expect((full?.bytes ?? 0n) - (empty?.bytes ?? 0n)).toBeGreaterThanOrEqual(1n << 20n);
    const other = await start('other');
    await it.sandboxes.stats.fresh(ctx);
    const { bytes, inodes } = it.sandboxes.stats.writableLayers();
    expect(bytes).toBe((full?.bytes ?? 0n) + (it.sandboxes.stats.layer(other.id)?.bytes ?? 0n));
    expect(inodes).toBeGreaterThan(full?.inodes ?? 0n);
  });

  test('is forgotten with its container', async () => {
    const { id } = await start();
    await it.sandboxes.stats.fresh(ctx);
    await it.sandboxes.removeContainer(ctx, id);
    await it.sandboxes.stats.fresh(ctx);
    await until(() => it.sandboxes.stats.layer(id) === undefined);
    expect(it.sandboxes.stats.writableLayers()).toEqual({ bytes: 0n, inodes: 0n });
  });
});
