import { existsSync, mkdirSync, readFileSync } from 'node:fs';

import { afterEach, describe, expect, jest, test } from '@jest/globals';

import { createCtx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import type { Addon } from '#linux/addon';

import type { CgroupHandle, Cgroups } from './cgroups.ts';
import type { CgroupStats } from './stats.ts';

const ctx = createCtx();
const directoriesOf = ({ enter }: CgroupHandle): readonly string[] => enter.map(({ dir }) => dir);
const mebibyte = 1024n * 1024n;
/** A busy machine lets a cgroup write wait for seconds (RCU). */
const patienceMs = 20_000;

/**
 * What every implementation of Cgroups must do, on a real kernel. All groups are made below `parent`, which is removed
 * after each test; tests that need a controller the hierarchy does not offer are skipped and say so.
 */
export function cgroupsContract(name: string, parent: string, addon: Addon, cgroups: Cgroups): void {
  const sleepers: number[] = [];
  const needs = (...controllers: string[]): typeof test | typeof test.skip => {
    const missing = controllers.filter((one) => !cgroups.controllers.includes(one));
    if (missing.length > 0) console.warn(`skipped on ${name}: no controller ${missing.join(', ')}`);
    return missing.length > 0 ? test.skip : test;
  };

  /** Runs a shell script in the group; gives its exit once it is over. */
  const start = (handle: CgroupHandle, script: string): Promise<unknown> => {
    const enter = handle.enter.map(({ dir, v2 }) => `echo 0 >${dir}/${v2 ? 'cgroup.procs' : 'tasks'};`).join(' ');
    const child = addon.spawn({ path: '/bin/sh', argv: ['sh', '-ec', `${enter} ${script}`], env: [], fds: [] });
    sleepers.push(child.pidfd);
    return addon.waitPidfd(child.pidfd);
  };
  const populated = async (path: string, count: number): Promise<readonly number[]> => {
    for (;;) {
      const pids = await cgroups.processes(ctx, path);
      if (pids.length >= count) return pids;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const read = (handle: CgroupHandle, file: string): string => {
    const found = directoriesOf(handle).find((directory) => existsSync(`${directory}/${file}`));
    return found === undefined ? 'no such file' : readFileSync(`${found}/${file}`, 'utf8').trim();
  };

  describe(name, () => {
    jest.setTimeout(2 * patienceMs);

    afterEach(async () => {
      using deadline = new Deadline(patienceMs, 'clean up');
      await cgroups.kill(ctx.detach(deadline.signal), parent);
      await cgroups.remove(ctx.detach(deadline.signal), parent);
      for (const pidfd of sleepers.splice(0)) addon.close(pidfd);
      expect(directoriesOf(cgroups.handle(parent)).filter((directory) => existsSync(directory))).toEqual([]);
    });

    test('a group is made with its parents in every hierarchy, and its handle is known without IO', async () => {
      const handle = await cgroups.create(ctx, `${parent}/pod/a`, {});
      expect(directoriesOf(handle).every((directory) => existsSync(directory))).toBe(true);
      expect(cgroups.handle(`${parent}/pod/a`)).toEqual({ ...handle, warnings: [] });
      expect(new Set(directoriesOf(handle)).size).toBe(handle.enter.length);
      expect([...(await cgroups.list(ctx, parent))].sort()).toEqual([`${parent}/pod`, `${parent}/pod/a`]);
    });

    test('a process enters and is counted, also from above', async () => {
      const handle = await cgroups.create(ctx, `${parent}/pod/a`, {});
      const exit = start(handle, 'exec sleep 100');
      const [pid] = await populated(`${parent}/pod/a`, 1);
      expect(await cgroups.processes(ctx, parent)).toEqual([pid]);
      await cgroups.kill(ctx, `${parent}/pod/a`);
      expect(await exit).toEqual({ signal: 9 });
      expect(await cgroups.processes(ctx, parent)).toEqual([]);
    });

    test('killing takes what is below as well, and a group that is not there is no error', async () => {
      const path = `${parent}/nested`;
      const handle = await cgroups.create(ctx, path, {});
      // In this order: v2 takes no processes in a group that hands controllers down to groups below it.
      const exits = [start(handle, 'trap "" TERM; sleep 100')];
      await populated(path, 2);
      exits.push(start(await cgroups.create(ctx, `${path}/exec`, {}), 'sleep 100; true'));
      await populated(path, 4);
      await cgroups.kill(ctx, path);
      expect(await Promise.all(exits)).toEqual([{ signal: 9 }, { signal: 9 }]);
      await cgroups.kill(ctx, `${parent}/none`);
    });

    test('killing outruns processes that fork', async () => {
      const handle = await cgroups.create(ctx, `${parent}/forking`, {});
      // Each of the twenty makes a new process a hundred times a second.
      const forker = '(while :; do sleep 0.01; done) &';
      const exit = start(handle, `i=0; while [ $i -lt 20 ]; do ${forker} i=$((i+1)); done; wait`);
      await populated(`${parent}/forking`, 20);
      using deadline = new Deadline(patienceMs, 'kill');
      await cgroups.kill(ctx.detach(deadline.signal), `${parent}/forking`);
      expect(await exit).toEqual({ signal: 9 });
      expect(await cgroups.processes(ctx, `${parent}/forking`)).toEqual([]);
    });

    test('a thousand processes are killed in a few trips, not one by one', async () => {
      const path = `${parent}/crowd`;
      const exit = start(
        await cgroups.create(ctx, path, {}),
        'i=0; while [ $i -lt 1000 ]; do sleep 100 & i=$((i+1)); done; wait',
      );
      await populated(path, 1000);
      using trips = jest.spyOn(addon, 'batch');
      await cgroups.kill(ctx, path);
      const kills = trips.mock.calls.flatMap(([operations]) => operations).filter(({ op }) => op === 'kill');
      expect(kills.length).toBeLessThan(10);
      expect(trips.mock.calls.length).toBeLessThan(300);
      expect(await exit).toEqual({ signal: 9 });
    });

    test('more groups than one batch takes, made inside by the container, are killed and removed with it', async () => {
      const path = `${parent}/wide`;
      const handle = await cgroups.create(ctx, path, {});
      const many = 4100;
      for (let at = 0; at < many; at++) mkdirSync(`${handle.killDir}/${at}`);
      const inside = { ...handle, enter: [{ dir: `${handle.killDir}/${many - 1}`, v2: handle.killDirV2 }] };
      const exit = start(inside, 'exec sleep 100');
      await populated(path, 1);
      await cgroups.kill(ctx, path);
      expect(await exit).toEqual({ signal: 9 });
      await cgroups.remove(ctx, path);
      expect(await cgroups.list(ctx, parent)).toEqual([]);
    });

    test('a group with processes stays until the deadline, and the error names it', async () => {
      const handle = await cgroups.create(ctx, `${parent}/busy`, {});
      const exit = start(handle, 'exec sleep 100');
      // In every hierarchy, not only in the one where processes are looked up.
      const everywhere = (): boolean =>
        directoriesOf(handle).every((directory) => readFileSync(`${directory}/cgroup.procs`, 'utf8') !== '');
      while (!everywhere()) await new Promise((resolve) => setTimeout(resolve, 5));
      using deadline = new Deadline(60, 'remove');
      await expect(cgroups.remove(ctx.detach(deadline.signal), `${parent}/busy`)).rejects.toThrow();
      await cgroups.kill(ctx, `${parent}/busy`);
      await exit;
    });

    test('removing takes groups inside along, and is idempotent', async () => {
      const path = `${parent}/deep`;
      await cgroups.create(ctx, `${path}/b/c`, {});
      await cgroups.remove(ctx, path);
      await cgroups.remove(ctx, path);
      expect(await cgroups.list(ctx, parent)).toEqual([]);
    });

    test('parents that were removed are made again', async () => {
      await cgroups.create(ctx, `${parent}/again/pod1/a`, {});
      await cgroups.remove(ctx, parent);
      await cgroups.create(ctx, `${parent}/again/pod2/a`, {});
    });

    needs(
      'memory',
      'pids',
      'cpu',
    )('limits are set and can go up and down', async () => {
      const path = `${parent}/limited`;
      const handle = await cgroups.create(ctx, path, {
        cpuShares: 512n,
        cpuQuota: 50_000n,
        cpuPeriod: 100_000n,
        memoryLimit: 64n * mebibyte,
        memorySwap: 64n * mebibyte,
        pidsLimit: 100n,
      });
      const memory = (): string => read(handle, cgroups.version === 1 ? 'memory.limit_in_bytes' : 'memory.max');
      expect(memory()).toBe(String(64n * mebibyte));
      expect(read(handle, 'pids.max')).toBe('100');
      for (const size of [256n, 32n, 128n]) {
        await cgroups.update(ctx, path, { memoryLimit: size * mebibyte, memorySwap: size * mebibyte });
        expect(memory()).toBe(String(size * mebibyte));
      }
      for (const [quota, period] of [
        [400_000n, 1_000_000n],
        [5_000n, 10_000n],
      ] as const) {
        await cgroups.update(ctx, path, { cpuQuota: quota, cpuPeriod: period });
        const set = cgroups.version === 1 ? read(handle, 'cpu.cfs_quota_us') : read(handle, 'cpu.max').split(' ')[0];
        expect(set).toBe(quota.toString());
      }
      await cgroups.update(ctx, path, { memoryLimit: -1n, memorySwap: -1n, pidsLimit: -1n });
      expect(read(handle, 'pids.max')).toBe('max');
    });

    needs('memory', 'pids')('numbers of many groups come at once, and one that is gone is left out', async () => {
      const group = `${parent}/counted`;
      const handle = await cgroups.create(ctx, group, { memoryLimit: 64n * mebibyte, memorySwap: 64n * mebibyte });
      const exit = start(handle, 'x=$(head -c 8000000 /dev/zero | tr "\\0" x); sleep 100');
      await populated(group, 2);
      const grown = async (): Promise<CgroupStats> => {
        const sample = await cgroups.sample(ctx, [group, `${parent}/gone`, parent], true);
        expect([...sample.keys()]).toEqual([group, parent]);
        return sample.get(group) ?? {};
      };
      let stats = await grown();
      while ((stats.memory?.rss ?? 0n) < 8_000_000n) stats = await grown();
      expect(stats.cpu?.usageNs).toBeGreaterThan(0n);
      expect(stats.cpu?.userNs).toBeGreaterThanOrEqual(0n);
      expect(stats.memory?.limit).toBe(64n * mebibyte);
      expect(stats.memory?.workingSet).toBeGreaterThanOrEqual(8_000_000n);
      expect(stats.memory?.workingSet).toBeLessThanOrEqual(stats.memory?.usage ?? 0n);
      expect(stats.memory).toMatchObject({
        oomKills: 0n,
        maxUsage: expect.any(BigInt),
        pageFaults: expect.any(BigInt),
      });
      expect(stats.pids?.current).toBeGreaterThanOrEqual(1n);
      expect(stats.processes).toBeGreaterThanOrEqual(1);
      await cgroups.kill(ctx, group);
      await exit;
    });

    needs('memory', 'cpu')('a change that is refused in part changes nothing', async () => {
      const group = `${parent}/whole`;
      const handle = await cgroups.create(ctx, group, {
        cpuShares: 512n,
        memoryLimit: 64n * mebibyte,
        memorySwap: 64n * mebibyte,
      });
      const files = cgroups.version === 1 ? ['cpu.shares', 'memory.limit_in_bytes'] : ['cpu.weight', 'memory.max'];
      const before = files.map((file) => read(handle, file));
      const change = {
        cpuShares: 1024n,
        memoryLimit: 128n * mebibyte,
        memorySwap: 128n * mebibyte,
        cpuQuota: 7n,
        cpuPeriod: 100_000n,
      };
      await expect(cgroups.update(ctx, group, change)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(files.map((file) => read(handle, file))).toEqual(before);
    });

    needs('memory')('a memory limit below what is in use is refused, and nobody dies', async () => {
      const group = `${parent}/full`;
      const handle = await cgroups.create(ctx, group, { memoryLimit: 256n * mebibyte, memorySwap: 256n * mebibyte });
      const exit = start(handle, 'x=$(head -c 32000000 /dev/zero | tr "\\0" x); sleep 100');
      for (let rss = 0n; rss < 32_000_000n;) {
        rss = (await cgroups.sample(ctx, [group], false)).get(group)?.memory?.rss ?? 0n;
      }
      const change = { memoryLimit: 16n * mebibyte, memorySwap: 16n * mebibyte };
      await expect(cgroups.update(ctx, group, change)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
      expect((await cgroups.sample(ctx, [group], true)).get(group)?.memory).toMatchObject({
        limit: 256n * mebibyte,
        oomKills: 0n,
      });
      await cgroups.kill(ctx, group);
      expect(await exit).toEqual({ signal: 9 });
    });

    needs('cpuset')('a cpuset shrinks and grows with the groups inside', async () => {
      const group = `${parent}/pinned`;
      const handle = await cgroups.create(ctx, group, { cpusetCpus: '0-1' });
      await cgroups.create(ctx, `${group}/inside`, { cpusetCpus: '0-1' });
      for (const cpus of ['1', '0-1', '0']) {
        await cgroups.update(ctx, group, { cpusetCpus: cpus });
        expect(read(handle, 'cpuset.cpus')).toBe(cpus);
      }
    });

    needs('cpuset')('a limit the kernel refuses leaves no group behind', async () => {
      await cgroups.create(ctx, `${parent}/pod`, {});
      await expect(cgroups.create(ctx, `${parent}/pod/bad`, { cpusetCpus: '100000' })).rejects.toThrow(/cpuset\.cpus/);
      expect(await cgroups.list(ctx, parent)).toEqual([`${parent}/pod`]);
    });

    test('device rules hold', async () => {
      const denyAll = { allow: false, type: 'a', access: 'rwm' } as const;
      const handle = await cgroups.create(ctx, `${parent}/devices`, {
        devices: [denyAll, { allow: true, type: 'c', major: 1, minor: 3, access: 'rw' }],
      });
      expect(await start(handle, ': </dev/null')).toEqual({ code: 0 });
      expect(await start(handle, ': </dev/zero')).toEqual({ code: 2 });
    });

    test('an unknown huge page size is tolerated', async () => {
      await cgroups.create(ctx, `${parent}/huge`, { hugepageLimits: [{ pageSize: '3MB', limit: 0n }] });
    });

    test.each(['relative', '/a/../b', '/a/./b', '/a\nb', 'kubepods.slice'])('the parent %j is refused', (bad) => {
      expect(() => cgroups.checkParent(bad)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    });

    if (cgroups.version === 1) {
      test('unified resources need v2', async () => {
        const made = cgroups.create(ctx, `${parent}/unified`, { unified: { 'memory.high': '1' } });
        await expect(made).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      });
    } else {
      test.each(['../cpu.max', 'cgroup.procs', 'a/b'])('the unified resource %j is refused', async (key) => {
        const made = cgroups.create(ctx, `${parent}/unified`, { unified: { [key]: '1' } });
        await expect(made).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      });
    }
  });
}
