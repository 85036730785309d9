import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ContainerStats__Output } from '#cri-api/gen/runtime/v1/ContainerStats';
import type { PodSandboxStats__Output } from '#cri-api/gen/runtime/v1/PodSandboxStats';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { cgroupHierarchies } from './harness/machine.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// What pods use, by the calls and by the real crictl; and limits that change while a container runs.

const mebibyte = 1024 * 1024;
const limits = {
  cpu_period: '100000',
  cpu_quota: '200000',
  cpu_shares: '512',
  memory_limit_in_bytes: String(256 * mebibyte),
};

let berthd: Berthd;
let pod: TestPod;
let idle: TestContainer;

beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd, { labels: { app: 'stats' }, annotations: { note: 'kept' } });
  idle = await pod.start(shell('sleep 1000', { labels: { tier: 'idle' }, linux: { resources: limits } }));
});
afterAll(() => berthd.teardown());

async function statsOf({ id }: TestContainer): Promise<ContainerStats__Output> {
  const { stats } = await berthd.cri.runtime.containerStats({ container_id: id });
  if (!stats) throw new Error(`no stats of ${id}`);
  return stats;
}

async function podStats({ id }: TestPod): Promise<PodSandboxStats__Output> {
  const { stats } = await berthd.cri.runtime.podSandboxStats({ pod_sandbox_id: id });
  if (!stats) throw new Error(`no stats of ${id}`);
  return stats;
}

const number = (field: { value: string } | null | undefined): number => Number(field?.value ?? Number.NaN);

describe('a container', () => {
  test('that is busy uses about a processor, at the first ask', async () => {
    const busy = await pod.start(shell('while :; do :; done'));
    await eventually('it has run for a second', async () => {
      const { cpu } = await statsOf(busy);
      return number(cpu?.usage_core_nano_seconds) > 1e9;
    });
    const { cpu } = await statsOf(busy);
    // Other work of this machine may take most of it away.
    expect(number(cpu?.usage_nano_cores)).toBeGreaterThan(0.1e9);
    expect(number(cpu?.usage_nano_cores)).toBeLessThan(1.5e9);
    await busy.remove();
  });

  test('that holds 50 MB is told to, and what is left of its limit', async () => {
    const holder = await pod.start(
      shell('x=$(head -c 50000000 /dev/zero | tr "\\0" x); sleep 1000; true', { linux: { resources: limits } }),
    );
    const stats = await eventually('it holds them', async () => {
      const found = await statsOf(holder);
      return number(found.memory?.rss_bytes) >= 50e6 ? found : undefined;
    });
    const { memory } = stats;
    expect(number(memory?.working_set_bytes)).toBeGreaterThanOrEqual(50e6);
    expect(number(memory?.usage_bytes)).toBeGreaterThanOrEqual(number(memory?.working_set_bytes));
    expect(number(memory?.available_bytes)).toBe(256 * mebibyte - number(memory?.working_set_bytes));
    expect(number(memory?.page_faults)).toBeGreaterThan(10_000);
    await holder.remove();
  });

  test('without a limit has nothing available', async () => {
    const free = await pod.start(shell('sleep 1000'));
    expect((await statsOf(free)).memory).toMatchObject({ available_bytes: null });
    await free.remove();
  });

  test('that writes 10 MB has a layer that has grown, in its own numbers and the node’s', async () => {
    const before = number((await statsOf(idle)).writable_layer?.used_bytes);
    expect(before).toBeGreaterThan(0);
    await idle.sh('head -c 10000000 /dev/urandom >/file; sync');
    const grown = await eventually('the layer is measured again', async () => {
      const { writable_layer: layer } = await statsOf(idle);
      return layer && number(layer.used_bytes) - before > 9e6 ? layer : undefined;
    });
    expect(number(grown.used_bytes) - before).toBeLessThan(12e6);
    expect(number(grown.inodes_used)).toBeGreaterThan(3);
    const { image_filesystems: images } = await berthd.cri.images.imageFsInfo({});
    expect(grown.fs_id?.mountpoint).toBe(images[0]?.fs_id?.mountpoint);
  });

  test('that has ended uses nothing, and lists leave it out', async () => {
    const ended = await pod.start(shell('true'));
    await ended.exited();
    expect(await statsOf(ended)).toMatchObject({ attributes: { id: ended.id }, cpu: null, memory: null });
    const { stats } = await berthd.cri.runtime.listContainerStats({});
    expect(stats.map(({ attributes }) => attributes?.id)).toEqual([idle.id]);
    await ended.remove();
  });
});

describe('a list', () => {
  test.each([
    ['a label', () => ({ label_selector: { tier: 'idle' } }), 1],
    ['another label', () => ({ label_selector: { tier: 'busy' } }), 0],
    ['an id', () => ({ id: idle.id }), 1],
    ['the beginning of an id', () => ({ id: idle.id.slice(0, 13) }), 1],
    ['its pod', () => ({ pod_sandbox_id: pod.id }), 1],
    ['another pod', () => ({ pod_sandbox_id: idle.id }), 0],
  ])('of containers by %s', async (_what, filter, count) => {
    const { stats } = await berthd.cri.runtime.listContainerStats({ filter: filter() });
    expect(stats).toHaveLength(count);
  });

  test('of pods by label, with their containers and names', async () => {
    const { stats } = await berthd.cri.runtime.listPodSandboxStats({ filter: { label_selector: { app: 'stats' } } });
    expect(stats).toHaveLength(1);
    expect(stats[0]?.attributes).toMatchObject({ id: pod.id, labels: { app: 'stats' }, annotations: { note: 'kept' } });
    expect(stats[0]?.linux?.containers.map(({ attributes }) => attributes?.id)).toEqual([idle.id]);
    expect(number(stats[0]?.linux?.process?.process_count)).toBeGreaterThanOrEqual(1);
    expect(number(stats[0]?.linux?.memory?.working_set_bytes)).toBeGreaterThan(0);
    const none = await berthd.cri.runtime.listPodSandboxStats({ filter: { label_selector: { app: 'none' } } });
    expect(none.stats).toEqual([]);
  });

  test('asked a hundred times at once reads once', async () => {
    const samples = async (): Promise<number> => {
      const script = `exec 3<>/dev/tcp/127.0.0.1/9478; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
      const { stdout } = await berthd.node.run(['bash', '-c', script]);
      return Number(/^berth_stats_sample_seconds_count (\d+)$/m.exec(stdout)?.[1]);
    };
    const before = await samples();
    await Promise.all(Array.from({ length: 100 }, () => berthd.cri.runtime.listContainerStats({})));
    // One, and another each half second that all of them took, and one of the sampler's own.
    expect((await samples()) - before).toBeLessThan(10);
  });
});

describe('a pod', () => {
  test('has traffic that grows', async () => {
    const before = (await podStats(pod)).linux?.network?.default_interface;
    expect(before).toMatchObject({ name: 'eth0' });
    await idle.sh(
      'ping -c 3 -i 0.2 -s 1000 127.0.0.1 >/dev/null; ip route | sed -n "s/default via \\([^ ]*\\).*/\\1/p" | xargs ping -c 3 -i 0.2 -s 1000',
    );
    await eventually('the counters are read again', async () => {
      const { default_interface: now } = (await podStats(pod)).linux?.network ?? {};
      return (
        number(now?.tx_bytes) - number(before?.tx_bytes) >= 3000 && number(now?.rx_bytes) > number(before?.rx_bytes)
      );
    });
  });

  test('with very many interfaces has the numbers of eth0 and some others, and the log says so once', async () => {
    const crowded = await TestPod.run(berthd);
    const { id } = await crowded.start(shell('sleep 1000'));
    const { info } = await berthd.cri.runtime.containerStatus({ container_id: id, verbose: true });
    const { pid } = JSON.parse(info.info ?? '{}') as { pid: number };
    const links = Array.from({ length: 40 }, (_, at) => `link add br${at} type bridge\n`).join('');
    const made = await berthd.node.run(['nsenter', '-t', `${pid}`, '-n', 'ip', '-batch', '-'], { input: links });
    expect(made).toMatchObject({ code: 0 });
    await eventually('a sample has them', async () => {
      const { network } = (await podStats(crowded)).linux ?? {};
      return network?.default_interface?.name === 'eth0' && network.interfaces.length === 31;
    });
    const { pod_metrics } = await berthd.cri.runtime.listPodSandboxMetrics({});
    const mine = pod_metrics.find(({ pod_sandbox_id }) => pod_sandbox_id === crowded.id);
    expect(mine?.metrics).toHaveLength(32 * 8);
    const said = berthd.log.split('\n').filter((line) => line.includes('more network interfaces than the 32'));
    expect(said).toEqual([expect.stringContaining(crowded.id)]);
    await crowded.remove();
  });

  test('on the node’s network has none of its own', async () => {
    const host = await TestPod.run(berthd, { linux: { security_context: { namespace_options: { network: 'NODE' } } } });
    expect((await podStats(host)).linux?.network).toBeNull();
    await host.remove();
  });

  test('with a control group of its own has that group’s numbers', async () => {
    const parent = `/${berthd.node.cgroupPrefix}/stats/pod1`;
    const own = await TestPod.run(berthd, { linux: { cgroup_parent: parent } });
    const container = await own.start(shell('x=$(head -c 20000000 /dev/zero | tr "\\0" x); sleep 1000; true'));
    await eventually('it holds 20 MB', async () => number((await podStats(own)).linux?.memory?.rss_bytes) >= 20e6);
    await container.remove();
    await own.remove();
    await berthd.node.run(['sh', '-c', `rmdir /sys/fs/cgroup/*${parent} /sys/fs/cgroup/*${path.dirname(parent)}`]);
  });
});

describe('crictl', () => {
  test('stats and statsp show a table, metricsp every metric with its labels', async () => {
    expect(await berthd.crictlOk('stats')).toMatch(new RegExp(`^${idle.id.slice(0, 13)} .*MB`, 'm'));
    expect(await berthd.crictlOk('statsp')).toContain(pod.id.slice(0, 13));
    const { descriptors } = JSON.parse(await berthd.crictlOk('metricdescs')) as {
      descriptors: { name: string; help: string; labelKeys: string[] }[];
    };
    expect(descriptors).toHaveLength(56);
    const { podMetrics } = JSON.parse(await berthd.crictlOk('metricsp')) as { podMetrics: PodMetrics[] };
    const mine = podMetrics.find(({ podSandboxId }) => podSandboxId === pod.id);
    const all = [...(mine?.metrics ?? []), ...(mine?.containerMetrics ?? []).flatMap(({ metrics }) => metrics)];
    const keys = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys]));
    expect(all.filter(({ name, labelValues }) => labelValues.length !== keys.get(name)?.length)).toEqual([]);
    const seen = new Set(all.map(({ name }) => name));
    expect(descriptors.map(({ name }) => name).filter((name) => !seen.has(name) && !optional(name))).toEqual([]);
    const value = (name: string): number => Number(all.find((metric) => metric.name === name)?.value.value);
    expect(value('container_spec_memory_limit_bytes')).toBe(256 * mebibyte);
    expect(value('container_start_time_seconds')).toBeGreaterThan(1.7e9);
    expect(value('container_start_time_seconds')).toBeLessThanOrEqual(value('container_last_seen'));
    expect(value('container_file_descriptors')).toBeGreaterThanOrEqual(1);
    expect(value('container_fs_limit_bytes')).toBeGreaterThan(value('container_fs_usage_bytes'));
  });

  interface PodMetrics {
    readonly podSandboxId: string;
    readonly metrics: Metric[];
    readonly containerMetrics: { metrics: Metric[] }[];
  }
  interface Metric {
    readonly name: string;
    readonly labelValues: string[];
    readonly value: { readonly value: string };
  }

  /** Only where the kernel counts it: pressure by control group, devices that were used, huge pages. */
  const optional = (name: string): boolean =>
    /^container_(pressure|hugetlb|blkio)_|^container_fs_(reads|writes)_/.test(name);

  test('update changes what it names and nothing else', async () => {
    const container = await pod.start(shell('sleep 1000', { linux: { resources: limits } }));
    const more = ['--memory', String(128 * mebibyte), '--cpu-quota', '50000', '--cpuset-cpus', '0'];
    await berthd.crictlOk('update', ...more, container.id);
    const v2 = cgroupHierarchies().length === 1;
    const read = (file: string): string => {
      const group = berthd.node.cgroups().find((each) => each.includes(container.id) && has(each, file));
      return readFileSync(path.join(group ?? '/', file), 'utf8').trim();
    };
    expect(read(v2 ? 'memory.max' : 'memory.limit_in_bytes')).toBe(String(128 * mebibyte));
    expect(read(v2 ? 'cpu.max' : 'cpu.cfs_quota_us')).toBe(v2 ? '50000 100000' : '50000');
    expect(read(v2 ? 'cpu.weight' : 'cpu.shares')).toBe(v2 ? '60' : '512');
    expect(read('cpuset.cpus')).toBe('0');
    expect(await container.sh('grep Cpus_allowed_list /proc/self/status')).toMatch(/\t0\n$/);
    const told = { ...limits, memory_limit_in_bytes: String(128 * mebibyte), cpu_quota: '50000', cpuset_cpus: '0' };
    expect((await container.status()).resources?.linux).toMatchObject(told);
    await berthd.restart();
    expect((await container.status()).resources?.linux).toMatchObject(told);
    await container.remove();
  });

  const has = (group: string, file: string): boolean => {
    try {
      return readFileSync(path.join(group, file)).length > 0;
    } catch {
      return false;
    }
  };
});

describe('an update', () => {
  const update = (container: TestContainer, linux: object) =>
    berthd.cri.runtime.updateContainerResources({ container_id: container.id, linux });

  test('of a container that is not started yet holds when it starts', async () => {
    const container = await pod.create(
      shell('cat /sys/fs/cgroup/memory*/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true'),
    );
    await update(container, { memory_limit_in_bytes: String(64 * mebibyte) });
    await container.start();
    await container.exited();
    expect(container.output()).toBe(`${64 * mebibyte}\n`);
    await container.remove();
  });

  test('below what is in use is refused, and changes nothing', async () => {
    const holder = await pod.start(
      shell('x=$(head -c 50000000 /dev/zero | tr "\\0" x); sleep 1000; true', { linux: { resources: limits } }),
    );
    await eventually('it holds 50 MB', async () => number((await statsOf(holder)).memory?.rss_bytes) >= 50e6);
    const refused = update(holder, { cpu_shares: '1024', memory_limit_in_bytes: String(20 * mebibyte) });
    await expect(refused).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    const status = await holder.status();
    expect(status).toMatchObject({ state: 'CONTAINER_RUNNING', resources: { linux: limits } });
    await holder.remove();
  });

  test('of one that has ended is refused', async () => {
    const ended = await pod.start(shell('true'));
    await ended.exited();
    await expect(update(ended, { cpu_shares: '1024' })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    await ended.remove();
  });

  test('of a pod is noted and shown', async () => {
    const resources = { cpu_shares: '2048' };
    await berthd.cri.runtime.updatePodSandboxResources({ pod_sandbox_id: pod.id, resources });
    const { info } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
    expect(JSON.parse(info['info'] ?? '')).toMatchObject({ resources });
  });
});
