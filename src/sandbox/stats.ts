import type { CgroupStats } from '#runtime/cgroup/stats';
import type { InterfaceStats, ProcessStats } from '#runtime/stats';

export type { CgroupStats, MemoryStats, Pressure, PressureLine } from '#runtime/cgroup/stats';
export type { InterfaceStats };

/** What a running container used when it was last looked at. Without `group`: its control group could not be read. */
export interface ContainerStats {
  readonly podId: string;
  readonly atNs: bigint;
  readonly group?: CgroupStats;
  /** Processor time a second, lately; missing as long as nothing can be said. */
  readonly nanoCores?: bigint;
}

/** The same with all that only metrics show. */
export interface DetailedStats extends ContainerStats {
  readonly processes?: ProcessStats;
}

/** What a pod used when it was last looked at. */
export interface PodStats {
  readonly atNs: bigint;
  /** Of the pod's own group, or the sum of its containers when it has none to itself. */
  readonly group: CgroupStats;
  readonly nanoCores?: bigint;
  /** Missing for a pod on the node's network: its numbers would be the node's. */
  readonly network?: readonly InterfaceStats[];
}

/** How much lies in a container's writable layer. */
export interface LayerUsage {
  readonly atNs: bigint;
  readonly bytes: bigint;
  readonly inodes: bigint;
}

/** The file system on which the writable layers are. */
export interface FilesystemSize {
  readonly bytes: bigint;
  readonly inodes: bigint;
  readonly inodesFree: bigint;
}
