import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { containerIdentity, FakeNode, podIdentity, type TestSandboxes } from '#sandbox/sandboxes.fixture';
import { metricDescriptors, toCriPodMetrics } from './metrics.ts';
import { toCriContainerStats, toCriPodStats } from './stats.ts';

const ctx = createCtx();
const line = { avg10: 1.5, avg60: 0.5, avg300: 0.25, total: 3_000_000n };
const most = 2n ** 64n - 1n;
const traffic = { bytes: 1000n, packets: 10n, errors: 1n, dropped: 2n };

let it: TestSandboxes;
let podId: string;
let id: string;

beforeEach(async () => {
  it = await new FakeNode().start();
  podId = await it.sandboxes.runPod(ctx, podIdentity());
  id = await it.sandboxes.createContainer(ctx, containerIdentity(podId));
  await it.sandboxes.startContainer(ctx, id);
  const { machine } = it.node;
  machine.usage.set(it.sandboxes.getContainer(id).made.cgroupPath, {
    cpu: { usageNs: most, userNs: 2_500_000_000n, systemNs: 1n, pressure: { some: line, full: line } },
    memory: {
      usage: 100n,
      workingSet: 80n,
      limit: 90n,
      rss: 70n,
      cache: 9n,
      mappedFile: 8n,
      pressure: { some: line, full: line },
    },
    swap: { usage: 5n, limit: 4n },
    pids: { current: 3n, limit: 10n },
    ioPressure: { some: line, full: line },
    io: [{ major: 254, minor: 0, readBytes: 1n, writeBytes: 2n, reads: 3n, writes: 4n }],
    processes: 2,
    hugepages: [{ pageSize: '2MB', usage: 6n, maxUsage: 7n }],
  });
  const other = { ...traffic, bytes: 7n };
  machine.networks.set(podId, [
    { name: 'net1', rx: other, tx: other },
    { name: 'eth0', rx: traffic, tx: { ...traffic, bytes: 2000n } },
  ]);
  machine.processes.set(id, { descriptors: 12n, sockets: 4n, maxOpenFiles: 1024n });
  await it.sandboxes.stats.fresh(ctx, true);
});
afterEach(() => it.sandboxes[Symbol.asyncDispose]());

test('all 56 metrics that the kubelet wants are described and given, with as many labels as keys', () => {
  expect(metricDescriptors).toHaveLength(56);
  expect(new Set(metricDescriptors.map(({ name }) => name)).size).toBe(56);
  const { metrics = [], container_metrics: containers = [] } = toCriPodMetrics(
    it.sandboxes.getPod(podId),
    it.sandboxes.stats,
  );
  const all = [...metrics, ...containers.flatMap((each) => each.metrics ?? [])];
  for (const { name, label_keys: keys, help } of metricDescriptors) {
    const found = all.filter((metric) => metric.name === name);
    expect({ name, help, values: found.length > 0 }).toEqual({ name, help: expect.stringMatching(/.+/), values: true });
    for (const { label_values: values } of found) expect(values).toHaveLength(keys?.length ?? 0);
  }
  const value = (name: string): unknown => all.find((metric) => metric.name === name)?.value?.value;
  expect(value('container_cpu_usage_seconds_total')).toBe('18446744073');
  expect(value('container_cpu_user_seconds_total')).toBe('2');
  expect(value('container_threads_max')).toBe('10');
  expect(value('container_pressure_io_stalled_seconds_total')).toBe('3');
  expect(value('container_start_time_seconds')).toBe('1700000000');
});

test('a container’s numbers, up to the largest', () => {
  expect(toCriContainerStats(it.sandboxes.getContainer(id), it.sandboxes.stats)).toMatchObject({
    attributes: { id },
    cpu: { usage_core_nano_seconds: { value: most.toString() }, psi: { Some: { Total: '3000000', Avg10: 1.5 } } },
    memory: { working_set_bytes: { value: '80' }, available_bytes: { value: '10' }, page_faults: null },
    swap: { swap_available_bytes: { value: '0' }, swap_usage_bytes: { value: '5' } },
    io: { psi: { Full: { Avg300: 0.25 } } },
    writable_layer: { fs_id: { mountpoint: it.node.root } },
  });
});

test('a pod’s traffic names eth0 first, and its containers are inside', () => {
  expect(toCriPodStats(it.sandboxes.getPod(podId), it.sandboxes.stats)).toMatchObject({
    attributes: { id: podId },
    linux: {
      network: {
        default_interface: { name: 'eth0', rx_bytes: { value: '1000' }, tx_bytes: { value: '2000' } },
        interfaces: [{ name: 'net1', rx_bytes: { value: '7' } }],
      },
      process: { process_count: { value: '3' } },
      containers: [{ attributes: { id } }],
    },
  });
});
