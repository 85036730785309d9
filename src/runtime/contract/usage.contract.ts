import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CgroupStats } from '../cgroup/stats.ts';
import type { WantedStats } from '../stats.ts';
import { programs } from './programs.fixture.ts';
import { code, ctx, gone, nobody, type RuntimeBench, type RunningContainer } from './runtime-bench.fixture.ts';

const nothing: WantedStats = { cgroups: [], networks: [], processes: [], detail: false };
const mebibyte = 1n << 20n;
const limits = { memoryLimit: 256n * mebibyte, memorySwap: 256n * mebibyte, pidsLimit: 100n };

/** What containers and pods use, what they may use, and what this machine can do. */
export function usageContract(given: () => RuntimeBench): void {
  describe('usage', () => {
    let bench: RuntimeBench;
    let podId: string;
    let container: RunningContainer;
    beforeAll(async () => {
      bench = given();
      ({ podId } = await bench.runPod());
      container = await bench.run(podId, programs.heeds, { resources: limits });
    });
    afterAll(() => bench.sweep());

    const group = async (detail = false): Promise<CgroupStats> => {
      const wanted = { ...nothing, cgroups: [container.cgroupPath], detail };
      return (await bench.runtime.sample(ctx, wanted)).cgroups.get(container.cgroupPath) ?? {};
    };

    test('of a container is counted, with the limits that it has; details only for who wants them', async () => {
      const plain = await group();
      expect(plain.cpu?.usageNs).toBeGreaterThan(0n);
      expect(plain.memory?.usage).toBeGreaterThan(0n);
      expect(plain.memory?.workingSet).toBeLessThanOrEqual(plain.memory?.usage ?? 0n);
      expect(plain.memory?.limit).toBe(limits.memoryLimit);
      expect(plain.pids?.current).toBeGreaterThan(0n);
      expect(plain.pids).not.toHaveProperty('limit');
      expect(plain.processes).toBeUndefined();
      expect(plain.memory).not.toHaveProperty('oomKills');
      const detailed = await group(true);
      expect(detailed.pids).toEqual({ current: expect.any(BigInt), limit: limits.pidsLimit });
      expect(detailed.processes).toBeGreaterThan(0);
      expect(detailed.memory?.oomKills).toBe(0n);
    });

    test('of a pod’s network has its links, without the loopback', async () => {
      const { networks } = await bench.runtime.sample(ctx, { ...nothing, networks: [podId] });
      expect(networks.get(podId)?.map(({ name }) => name)).not.toContain('lo');
    });

    test('of its processes counts what they have open', async () => {
      const { id, cgroupPath, created } = container;
      const wanted = { ...nothing, processes: [{ id, cgroupPath, pid: created.pid }] };
      const seen = (await bench.runtime.sample(ctx, wanted)).processes.get(id);
      expect(seen?.descriptors).toBeGreaterThanOrEqual(3n);
      expect(seen?.sockets).toBe(0n);
      expect(seen?.maxOpenFiles).toBe(1024n);
    });

    test('who is not there is missing, and hides nobody', async () => {
      const gonePath = `${bench.machine.group}/${nobody}`;
      const sample = await bench.runtime.sample(ctx, {
        cgroups: [gonePath, container.cgroupPath],
        networks: [nobody, podId],
        processes: [{ id: nobody, cgroupPath: gonePath, pid: 0 }],
        detail: true,
      });
      expect([...sample.cgroups.keys()]).toEqual([container.cgroupPath]);
      expect([...sample.networks.keys()]).toEqual([podId]);
      expect([...sample.processes.keys()]).toEqual([]);
      expect(await bench.runtime.sample(ctx, nothing)).toEqual({
        ...{ cgroups: new Map(), networks: new Map(), cutNetworks: new Set(), processes: new Map() },
      });
    });

    describe('its limits', () => {
      const update = (changes: object, path = container.cgroupPath) =>
        bench.runtime.updateContainer(ctx, path, changes);

      test('change, those alone that are named, and change back', async () => {
        const takeBack = await update({ pidsLimit: 50n });
        expect((await group(true)).pids?.limit).toBe(50n);
        expect((await group()).memory?.limit).toBe(limits.memoryLimit);
        await takeBack();
        expect((await group(true)).pids?.limit).toBe(limits.pidsLimit);
        const open = await update({ pidsLimit: -1n });
        expect((await group(true)).pids).not.toHaveProperty('limit');
        await open();
      });

      test('do not change in part', async () => {
        const bad = update({ pidsLimit: 60n, cpuQuota: 7n, cpuPeriod: 100_000n });
        await expect(bad).rejects.toEqual(code('INVALID_ARGUMENT'));
        expect((await group(true)).pids?.limit).toBe(limits.pidsLimit);
      });

      test('of memory do not go below what is in use', async () => {
        const little = update({ memoryLimit: 4096n, memorySwap: 4096n });
        await expect(little).rejects.toEqual(code('FAILED_PRECONDITION'));
        expect((await group()).memory?.limit).toBe(limits.memoryLimit);
      });

      test('of who is not there', async () => {
        const path = `${bench.machine.group}/${nobody}`;
        await expect(update({ pidsLimit: 50n }, path)).rejects.toMatchObject({
          ...{ code: 'KERNEL', message: expect.stringContaining('ENOENT') },
        });
        await bench.runtime.updateContainer(ctx, path, {});
      });
    });

    test('a caller that has gone is not answered', async () => {
      await expect(bench.runtime.sample(gone(), { ...nothing, cgroups: [container.cgroupPath] })).rejects.toThrow();
    });

    test('a device that is not there is called by its number', () => {
      expect(bench.runtime.deviceName(4000, 1_000_000)).toBe('4000:1000000');
    });

    test('what the machine can do is said', () => {
      const { features } = bench.runtime;
      expect([1, 2]).toContain(features.cgroupVersion);
      expect(features.cgroupDriver).toBe('cgroupfs');
      expect(features.controllers).toEqual(expect.arrayContaining(['cpu', 'memory', 'pids']));
      expect(features.rlimits.length).toBeGreaterThan(0);
      for (const { type, soft, hard } of features.rlimits) {
        expect(type).toMatch(/^RLIMIT_[A-Z]+$/);
        expect(soft).toBeLessThanOrEqual(hard);
      }
      for (const name of ['seccomp', 'apparmor', 'selinux', 'userNamespaces', 'recursiveReadOnlyMounts'] as const) {
        expect(typeof features[name]).toBe('boolean');
      }
    });
  });
}
