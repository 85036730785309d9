import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { cgroupHierarchies } from './harness/machine.ts';
import { shell, TestPod } from './harness/pods.ts';

let berthd: Berthd;
let pod: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

const v2 = cgroupHierarchies().length === 1;

describe('limits', () => {
  const resources = {
    memory_limit_in_bytes: String(64 * 1024 * 1024),
    cpu_quota: '50000',
    cpu_period: '100000',
    cpu_shares: '512',
    cpuset_cpus: '0',
    oom_score_adj: '500',
  };

  test('are what the container sees of its control group', async () => {
    const files = v2
      ? ['memory.max', 'cpu.max', 'cpuset.cpus']
      : ['memory/memory.limit_in_bytes', 'cpu/cpu.cfs_quota_us', 'cpu/cpu.shares', 'cpuset/cpuset.cpus'];
    const text = await pod.sh(`cd /sys/fs/cgroup && cat ${files.join(' ')}`, { linux: { resources } });
    expect(text).toBe(v2 ? '67108864\n50000 100000\n0\n' : '67108864\n50000\n512\n0\n');
  });

  test('cpuset is the affinity of every process', async () => {
    expect(await pod.sh('grep Cpus_allowed_list /proc/self/status', { linux: { resources } })).toMatch(/\t0\n$/);
  });

  test('oom_score_adj is set', async () => {
    expect(await pod.sh('cat /proc/self/oom_score_adj', { linux: { resources } })).toBe('500\n');
  });

  test('are told in the status', async () => {
    const container = await pod.create(shell('true', { linux: { resources } }));
    const status = await container.status();
    expect(status.resources?.linux).toMatchObject({
      memory_limit_in_bytes: '67108864',
      cpu_quota: '50000',
      cpu_shares: '512',
    });
    await container.remove();
  });

  test('a limit on processes holds', async () => {
    const limited = { linux: { resources: { unified: { 'pids.max': '8' } } } };
    if (!v2) return;
    const text = await pod.sh('for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done 2>&1; true', limited);
    expect(text).toMatch(/can't fork|Resource temporarily unavailable/);
  });
});

describe('out of memory', () => {
  const tight = { linux: { resources: { memory_limit_in_bytes: String(16 * 1024 * 1024) } } };

  test('a container that takes too much is OOMKilled', async () => {
    const container = await pod.start(shell('head -c 100000000 /dev/zero | tail', tight));
    const status = await container.exited(30_000);
    expect(status).toMatchObject({ reason: 'OOMKilled' });
    await container.remove();
  });

  test('init itself killed for memory ends with 137', async () => {
    const container = await pod.start({ ...shell('', tight), command: ['tail', '/dev/zero'] });
    expect(await container.exited(30_000)).toMatchObject({ exit_code: 137, reason: 'OOMKilled' });
    await container.remove();
  });

  test('the one beside it goes on', async () => {
    const bystander = await pod.start(shell('sleep 1000'));
    const container = await pod.start({ ...shell('', tight), command: ['tail', '/dev/zero'] });
    await container.exited(30_000);
    expect((await bystander.status()).state).toBe('CONTAINER_RUNNING');
    await bystander.remove();
    await container.remove();
  });
});

describe('the control group', () => {
  const prefix = (): string => berthd.node.cgroupPrefix;

  test('is gone with the container', async () => {
    const container = await pod.start(shell('sleep 1000'));
    const mine = (): string[] => berthd.node.cgroups().filter((group) => group.includes(container.id));
    expect(mine().length).toBeGreaterThan(0);
    await container.remove();
    expect(mine()).toEqual([]);
  });

  test('lies below the parent that the kubelet has made, which is left to the kubelet', async () => {
    const parents = cgroupHierarchies().map((hierarchy) => path.join(hierarchy, prefix(), 'kubelet/pod1'));
    for (const parent of parents) mkdirSync(parent, { recursive: true });
    const own = await TestPod.run(berthd, { linux: { cgroup_parent: `/${prefix()}/kubelet/pod1` } });
    const container = await own.start(shell('sleep 1000'));
    const mine = berthd.node.cgroups().filter((group) => group.includes(container.id));
    expect(mine.length).toBeGreaterThan(0);
    expect(mine.filter((group) => !group.includes(`/${prefix()}/kubelet/pod1/`))).toEqual([]);
    await own.remove();
    for (const parent of parents) {
      rmdirSync(parent);
      rmdirSync(path.dirname(parent));
      // Other containers of this file may be in it, where berthd made it.
      if (
        readdirSync(path.dirname(path.dirname(parent)), { withFileTypes: true }).every((entry) => !entry.isDirectory())
      )
        rmdirSync(path.dirname(path.dirname(parent)));
    }
  });
});
