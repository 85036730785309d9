import path from 'node:path';
import type { Ctx } from '#base/ctx';
import type { Addon, FileOperation } from '#linux/addon';
import type { LinuxResources } from '#runtime/spec/oci';
import { withAnyLength } from './any-length.ts';
import { ancestorsOf, checkCgroupPath } from './cgroup-path.ts';
import type { CgroupHandle, Cgroups } from './cgroups.ts';
import { changeLimits, type LimitWrite, presentValues } from './change-limits.ts';
import type { Hierarchy } from './detect.ts';
import { hugepageSizes, sampleGroups } from './sample.ts';
import type { CgroupStats, StatsFormat } from './stats.ts';
import { directoriesBelow, failure, firstFailure, groupIn, killUntilEmpty, pidsIn, removeDirectories } from './tree.ts';
import { v1StatsFormat } from './v1-stats.ts';
import { freezeAndKill } from './v1-kill.ts';
import { cpusetReads, inheritedCpuset } from './v1-cpuset.ts';
import { type ControllerWrite, v1Writes } from './v1-writes.ts';

/** cgroup v1 by the cgroupfs driver: one directory in every hierarchy. */
export class V1Cgroups implements Cgroups {
  readonly version = 1;
  readonly driver = 'cgroupfs';
  readonly controllers: readonly string[];
  readonly #addon: Addon;
  readonly #hierarchies: readonly Hierarchy[];
  readonly #killHierarchy: Hierarchy | undefined;
  #format: StatsFormat | undefined;

  constructor(addon: Addon, hierarchies: readonly Hierarchy[]) {
    this.#addon = withAnyLength(addon);
    this.#hierarchies = hierarchies;
    this.controllers = hierarchies.flatMap((each) => each.controllers).filter((name) => !name.startsWith('name='));
    this.#killHierarchy = this.#hierarchyOf('freezer') ?? hierarchies[0];
  }

  checkParent(parent: string): void {
    checkCgroupPath(parent);
  }

  handle(group: string): CgroupHandle {
    const memory = this.#hierarchyOf('memory');
    return {
      path: group,
      enter: this.#hierarchies.map((each) => ({ dir: path.join(each.mountpoint, group), v2: false })),
      killDir: this.#killHierarchy ? path.join(this.#killHierarchy.mountpoint, group) : '',
      killDirV2: false,
      oomFile: memory ? path.join(memory.mountpoint, group, 'memory.oom_control') : '',
      warnings: [],
    };
  }

  async create(ctx: Ctx, group: string, resources: LinuxResources): Promise<CgroupHandle> {
    checkCgroupPath(group);
    const { writes, warnings } = this.#usable(v1Writes(resources));
    try {
      const inherited = await this.#make(group);
      await this.#batchOrThrow([...inherited, ...this.#writeOperations(group, writes)]);
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
    const { writes } = this.#usable(v1Writes(limits));
    const operations = this.#writeOperations(group, await this.#inSafeOrder(group, limits, writes));
    return changeLimits(this.#addon, await this.#withCpusetsBelow(operations));
  }

  async sample(_ctx: Ctx, groups: readonly string[], detail: boolean): Promise<ReadonlyMap<string, CgroupStats>> {
    this.#format ??= v1StatsFormat(this.#hierarchyOf('hugetlb') ? hugepageSizes() : []);
    const rootOf = (controller: string): string | undefined => this.#hierarchyOf(controller)?.mountpoint;
    return sampleGroups(this.#addon, this.#format, rootOf, groups, detail);
  }

  async kill(ctx: Ctx, group: string): Promise<void> {
    const directory = this.handle(group).killDir;
    await killUntilEmpty(this.#addon, ctx, directory, () => freezeAndKill(this.#addon, ctx, directory));
  }

  async remove(ctx: Ctx, group: string): Promise<void> {
    await removeDirectories(
      this.#addon,
      ctx,
      this.#hierarchies.map((each) => path.join(each.mountpoint, group)),
    );
  }

  async list(_ctx: Ctx, parent: string): Promise<readonly string[]> {
    const groups = new Set<string>();
    for (const { mountpoint } of this.#hierarchies) {
      for (const directory of await directoriesBelow(this.#addon, path.join(mountpoint, parent))) {
        groups.add(directory.slice(mountpoint.length));
      }
    }
    return [...groups];
  }

  groupOf(text: string): string | undefined {
    const key = this.#killHierarchy?.controllers[0];
    return key === undefined ? undefined : groupIn(text, (controllers) => controllers.split(',').includes(key));
  }

  processes(_ctx: Ctx, group: string): Promise<readonly number[]> {
    return pidsIn(this.#addon, this.handle(group).killDir);
  }

  #hierarchyOf(controller: string): Hierarchy | undefined {
    return this.#hierarchies.find((each) => each.controllers.includes(controller));
  }

  /** Limits for controllers that exist; the others as sentences. */
  #usable(all: readonly ControllerWrite[]): { writes: readonly ControllerWrite[]; warnings: readonly string[] } {
    const missing = all.filter((write) => !this.#hierarchyOf(write.controller));
    const names = [...new Set(missing.map((write) => write.controller))];
    return {
      writes: all.filter((write) => this.#hierarchyOf(write.controller)),
      warnings: names.map((name) => `the kernel has no ${name} controller: its limits are not set`),
    };
  }

  /** @returns what the group takes over from the one above */
  async #make(group: string): Promise<LimitWrite[]> {
    const cpuset = this.#hierarchyOf('cpuset');
    const looks = cpuset ? cpusetReads(cpuset.mountpoint, group) : [];
    let operations = [...this.#makeOperations(group), ...looks];
    let results = await this.#addon.batch(operations);
    if (firstFailure(operations, results)?.error === 'ENOENT') {
      await this.#makeAncestors(group);
      // The first attempt may have come as far as some hierarchies whose parent existed.
      operations = operations.map(tolerateExisting);
      results = await this.#addon.batch(operations);
    }
    const failed = firstFailure(operations, results);
    if (failed) throw failure(failed.operation, failed.error);
    if (!cpuset) return [];
    return inheritedCpuset(this.#addon, cpuset.mountpoint, group, results.slice(-looks.length));
  }

  #makeOperations(group: string): FileOperation[] {
    return this.#hierarchies.map(({ mountpoint }): FileOperation => ({
      op: 'mkdir',
      path: path.join(mountpoint, group),
      mode: 0o755,
    }));
  }

  async #makeAncestors(group: string): Promise<void> {
    await this.#batchOrThrow(
      ancestorsOf(group).flatMap((ancestor) => this.#makeOperations(ancestor).map(tolerateExisting)),
    );
  }

  async #batchOrThrow(operations: readonly FileOperation[]): Promise<void> {
    const failed = firstFailure(operations, await this.#addon.batch(operations));
    if (failed) throw failure(failed.operation, failed.error);
  }

  #writeOperations(group: string, writes: readonly ControllerWrite[]): LimitWrite[] {
    return writes.flatMap(({ controller, file, data, tolerateMissing }) => {
      const hierarchy = this.#hierarchyOf(controller);
      if (!hierarchy) return [];
      const target = path.join(hierarchy.mountpoint, group, file);
      return [{ op: 'write', path: target, data, ...(tolerateMissing ? { optional: ['ENOENT', 'EOPNOTSUPP'] } : {}) }];
    });
  }

  /**
   * Memory must never exceed memory with swap: when both rise, the latter goes first. A share of time (quota by period)
   * must never exceed the parent's: a shorter period comes after its quota, so that no step is above both old and new.
   */
  async #inSafeOrder(
    group: string,
    { memoryLimit, cpuPeriod }: LinuxResources,
    writes: readonly ControllerWrite[],
  ): Promise<readonly ControllerWrite[]> {
    const [swapLimit, period] = await presentValues(this.#addon, [
      path.join(this.#hierarchyOf('memory')?.mountpoint ?? '/', group, 'memory.memsw.limit_in_bytes'),
      path.join(this.#hierarchyOf('cpu')?.mountpoint ?? '/', group, 'cpu.cfs_period_us'),
    ]);
    let ordered = writes;
    const first = (file: string): void => {
      const moved = ordered.filter((write) => write.file === file);
      ordered = [...moved, ...ordered.filter((write) => write.file !== file)];
    };
    if (memoryLimit !== undefined && swapLimit !== undefined) {
      if (memoryLimit < 0n || memoryLimit > BigInt(swapLimit)) first('memory.memsw.limit_in_bytes');
    }
    if (cpuPeriod !== undefined && period !== undefined && cpuPeriod < BigInt(period)) first('cpu.cfs_quota_us');
    return ordered;
  }

  /** A cpuset must hold those of groups that a container has made below it: it grows first, then they change, then it shrinks. */
  async #withCpusetsBelow(writes: readonly LimitWrite[]): Promise<readonly LimitWrite[]> {
    const all: LimitWrite[] = [];
    for (const write of writes) {
      const file = path.basename(write.path);
      const below = file.startsWith('cpuset.') ? await directoriesBelow(this.#addon, path.dirname(write.path)) : [];
      if (below.length > 0) {
        const [present = ''] = await presentValues(this.#addon, [write.path]);
        all.push({ ...write, data: present === '' ? write.data : `${present},${write.data}` });
        // They may go meanwhile.
        const gone = ['ENOENT', 'ENODEV'];
        all.push(...below.map((directory) => ({ ...write, path: path.join(directory, file), optional: gone })));
      }
      all.push(write);
    }
    return all;
  }
}

function tolerateExisting(operation: FileOperation): FileOperation {
  return operation.op === 'mkdir' ? { ...operation, optional: ['EEXIST'] } : operation;
}
