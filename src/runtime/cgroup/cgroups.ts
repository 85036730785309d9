import type { Ctx } from '#base/ctx';
import type { LinuxResources } from '#runtime/spec/oci';
import type { CgroupStats } from './stats.ts';

/**
 * Control groups behind one interface: v1 and v2 by the cgroupfs driver now, the systemd driver later. Paths are cgroup
 * paths as in the OCI spec ("/kubepods/burstable/pod1/<container id>"), the same in every hierarchy.
 */
export interface Cgroups {
  readonly version: 1 | 2;
  readonly driver: 'cgroupfs' | 'systemd';
  /** Controllers the kernel offers here; a limit for a missing one is tolerated and reported. */
  readonly controllers: readonly string[];
  /** Refuses relative paths, `..`, and what the driver cannot mean (`foo.slice` for cgroupfs). Throws INVALID_ARGUMENT. */
  checkParent(parent: string): void;
  /** Makes the group in every hierarchy (and missing parents) and sets its limits, in one batch. On failure nothing is left. */
  create(ctx: Ctx, path: string, resources: LinuxResources): Promise<CgroupHandle>;
  /** The handle of a group that exists, without IO. */
  handle(path: string): CgroupHandle;
  /**
   * Changes the limits that are set in `resources`, all or none. Quota and period, and memory and swap, come together.
   *
   * @returns takes the change back; never throws
   * @throws INVALID_ARGUMENT, FAILED_PRECONDITION when more memory is in use than is to be allowed, KERNEL
   */
  update(ctx: Ctx, path: string, resources: LinuxResources): Promise<() => Promise<void>>;
  /** Numbers of many groups at once; one that is gone is not in the answer. `detail`: also what only metrics show. */
  sample(ctx: Ctx, paths: readonly string[], detail: boolean): Promise<ReadonlyMap<string, CgroupStats>>;
  /** Kills every process in it and below (v2 cgroup.kill; v1 freeze, kill, thaw) and waits until it is empty or `ctx` ends. */
  kill(ctx: Ctx, path: string): Promise<void>;
  /** Removes the group and what is below it; missing is no error; EBUSY is retried until `ctx` ends. */
  remove(ctx: Ctx, path: string): Promise<void>;
  /** Paths of all groups below `parent`, in any hierarchy. */
  list(ctx: Ctx, parent: string): Promise<readonly string[]>;
  /** The group of a process, where `kill` would find it, from the text of its /proc/<pid>/cgroup (cgroups(7)). */
  groupOf(text: string): string | undefined;
  /** Pids in the group and below. */
  processes(ctx: Ctx, path: string): Promise<readonly number[]>;
}

/** What the shim needs: where a child enters, where to kill, where the OOM counter is. */
export interface CgroupHandle {
  readonly path: string;
  readonly enter: readonly { readonly dir: string; readonly v2: boolean }[];
  readonly killDir: string;
  readonly killDirV2: boolean;
  readonly oomFile: string;
  /** Limits that could not be set and were tolerated, for the log. */
  readonly warnings: readonly string[];
}
