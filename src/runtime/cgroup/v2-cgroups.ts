import path from 'node:path';
import type { Ctx } from '#base/ctx';
import type { Addon, FileOperation } from '#linux/addon';
import type { LinuxResources } from '#runtime/spec/oci';
import { withAnyLength } from './any-length.ts';
import { ancestorsOf, checkCgroupPath } from './cgroup-path.ts';
import type { CgroupHandle, Cgroups } from './cgroups.ts';
import { belowUsage, changeLimits, type LimitWrite, presentValues } from './change-limits.ts';
import { hugepageSizes, sampleGroups } from './sample.ts';
import type { CgroupStats, StatsFormat } from './stats.ts';
import { field, toWhole } from './stats-text.ts';
import { directoriesBelow, failure, firstFailure, groupIn, killUntilEmpty, pidsIn, removeDirectories } from './tree.ts';
import type { ControllerWrite } from './v1-writes.ts';
import { v2StatsFormat } from './v2-stats.ts';
import { v2Writes } from './v2-writes.ts';

/** Controllers a container's limits use; enabled all the way down to its parent. */
const wanted = ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb'] as const;
const rememberedParents = 4096;

export interface V2Options {
  readonly addon: Addon;
  /** /sys/fs/cgroup; a subtree of it in tests. */
  readonly mountpoint: string;
  /** Contents of cgroup.controllers there. */
  readonly controllers: readonly string[];
  /** Attaches the program that enforces device rules to a group's directory. */
  readonly allowDevices: (ctx: Ctx, directory: string, rules: NonNullable<LinuxResources['devices']>) => Promise<void>;
}

/** cgroup v2 by the cgroupfs driver: one directory, controllers enabled from the top down. */
export class V2Cgroups implements Cgroups {
  readonly version = 2;
  readonly driver = 'cgroupfs';
  readonly controllers: readonly string[];
  readonly #options: V2Options;
  /** Parents whose subtree_control this berthd has set. */
  readonly #prepared = new Set<string>();
  #format: StatsFormat | undefined;

  constructor(options: V2Options) {
    this.#options = { ...options, addon: withAnyLength(options.addon) };
    this.controllers = options.controllers;
  }

  checkParent(parent: string): void {
    checkCgroupPath(parent);
  }

  handle(group: string): CgroupHandle {
    const dir = this.#directory(group);
    return {
      path: group,
      enter: [{ dir, v2: true }],
      killDir: dir,
      killDirV2: true,
      oomFile: this.controllers.includes('memory') ? path.join(dir, 'memory.events') : '',
      warnings: [],
    };
  }

  async create(ctx: Ctx, group: string, resources: LinuxResources): Promise<CgroupHandle> {
    checkCgroupPath(group);
    const { writes, warnings } = this.#usable(v2Writes(resources));
    const operations: FileOperation[] = [
      { op: 'mkdir', path: this.#directory(group), mode: 0o755 },
      ...this.#writeOperations(group, writes),
    ];
    try {
      let failed = await this.#make(group, operations);
      if (failed?.error === 'ENOENT') {
        // Somebody (a kubelet, a removal of ours) took away a parent that we had prepared.
        this.#prepared.clear();
        await removeDirectories(this.#options.addon, ctx, [this.#directory(group)]);
        failed = await this.#make(group, operations);
      }
      if (failed) throw failure(failed.operation, failed.error);
      if (resources.devices) await this.#options.allowDevices(ctx, this.#directory(group), resources.devices);
    } catch (error) {
      await this.remove(ctx, group).catch((left: unknown) => {
        ctx.log.warn({ cgroup: group, err: left }, 'could not remove a half-made cgroup');
      });
      throw error;
    }
    return { ...this.handle(group), warnings };
  }

  async update(_ctx: Ctx, group: string, resources: LinuxResources): Promise<() => Promise<void>> {
    const { devices: _devices, ...limits } = resources;
    const writes = this.#writeOperations(group, this.#usable(v2Writes(limits)).writes);
    if (limits.memoryLimit !== undefined && limits.memoryLimit >= 0n) {
      await this.#checkMemory(group, limits.memoryLimit);
    }
    return changeLimits(this.#options.addon, writes);
  }

  async sample(_ctx: Ctx, groups: readonly string[], detail: boolean): Promise<ReadonlyMap<string, CgroupStats>> {
    this.#format ??= v2StatsFormat(this.controllers.includes('hugetlb') ? hugepageSizes() : []);
    return sampleGroups(this.#options.addon, this.#format, () => this.#options.mountpoint, groups, detail);
  }

  async kill(ctx: Ctx, group: string): Promise<void> {
    const directory = this.#directory(group);
    await killUntilEmpty(this.#options.addon, ctx, directory, async () => {
      await this.#options.addon.batch([
        { op: 'write', path: path.join(directory, 'cgroup.kill'), data: '1', optional: true },
      ]);
    });
  }

  async remove(ctx: Ctx, group: string): Promise<void> {
    this.#prepared.delete(group);
    await removeDirectories(this.#options.addon, ctx, [this.#directory(group)]);
  }

  async list(_ctx: Ctx, parent: string): Promise<readonly string[]> {
    const found = await directoriesBelow(this.#options.addon, this.#directory(parent));
    return found.map((directory) => directory.slice(this.#options.mountpoint.length));
  }

  groupOf(text: string): string | undefined {
    return groupIn(text, (controllers) => controllers === '');
  }

  processes(_ctx: Ctx, group: string): Promise<readonly number[]> {
    return pidsIn(this.#options.addon, this.#directory(group));
  }

  /** The kernel would kill what does not fit below a new memory.max: better refuse it. */
  async #checkMemory(group: string, limit: bigint): Promise<void> {
    const files = ['memory.current', 'memory.stat'].map((name) => path.join(this.#directory(group), name));
    const [current = '', stat = ''] = await presentValues(this.#options.addon, files);
    const cached = (field(stat, 'inactive_file') ?? 0n) + (field(stat, 'active_file') ?? 0n);
    const needed = (toWhole(current) ?? 0n) - cached;
    if (needed > limit) throw belowUsage(`${needed} bytes are in use beside the page cache, ${limit} are asked for`);
  }

  #directory(group: string): string {
    return path.join(this.#options.mountpoint, group);
  }

  #usable(all: readonly ControllerWrite[]): { writes: readonly ControllerWrite[]; warnings: readonly string[] } {
    const has = (write: ControllerWrite): boolean => this.controllers.includes(write.controller);
    const names = [...new Set(all.filter((write) => !has(write)).map((write) => write.controller))];
    return {
      writes: all.filter(has),
      warnings: names.map((name) => `the kernel has no ${name} controller: its limits are not set`),
    };
  }

  async #make(group: string, operations: readonly FileOperation[]): Promise<ReturnType<typeof firstFailure>> {
    const failed = await this.#prepareAncestors(group);
    return failed ?? firstFailure(operations, await this.#options.addon.batch(operations));
  }

  /** Makes the ancestors and gives them the controllers their children need (at boot the root hands down only some). */
  async #prepareAncestors(group: string): Promise<ReturnType<typeof firstFailure>> {
    const ancestors = ['', ...ancestorsOf(group)].filter((ancestor) => !this.#prepared.has(ancestor));
    if (ancestors.length === 0) return undefined;
    const enable = wanted.filter((name) => this.controllers.includes(name));
    const operations = ancestors.flatMap((ancestor): FileOperation[] => {
      const directory = this.#directory(ancestor);
      return [
        { op: 'mkdir', path: directory, mode: 0o755, optional: ['EEXIST'] },
        ...enable.map((name): FileOperation => ({
          op: 'write',
          path: path.join(directory, 'cgroup.subtree_control'),
          data: `+${name}`,
          // A controller the parent does not have, or may not hand down: the limit's own write says so if it is needed.
          optional: true,
        })),
      ];
    });
    const failed = firstFailure(operations, await this.#options.addon.batch(operations));
    if (failed) return failed;
    if (this.#prepared.size + ancestors.length > rememberedParents) this.#prepared.clear();
    ancestors.forEach((ancestor) => this.#prepared.add(ancestor));
    return undefined;
  }

  #writeOperations(group: string, writes: readonly ControllerWrite[]): LimitWrite[] {
    return writes.map(({ file, data, tolerateMissing }) => ({
      op: 'write',
      path: path.join(this.#directory(group), file),
      data,
      ...(tolerateMissing ? { optional: ['ENOENT', 'EOPNOTSUPP'] } : {}),
    }));
  }
}
