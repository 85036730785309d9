import type { Ctx } from '#base/ctx';
import type { CgroupStats } from './cgroup/stats.ts';
import type { LinuxResources } from './spec/oci.ts';

/** What containers and pods use, and how much they may use: what the calls about statistics and limits need. */
export interface RuntimeStats {
  /**
   * Numbers of many containers and pods in a few trips, whatever their number. Who is gone, or cannot be read, is
   * missing from the answer: one broken container never hides another.
   */
  sample(ctx: Ctx, wanted: WantedStats): Promise<RuntimeSample>;
  /** Changes the limits that are set, all or none. As Cgroups.update: what it gives takes the change back. */
  updateContainer(ctx: Ctx, cgroupPath: string, resources: LinuxResources): Promise<() => Promise<void>>;
  /** "/dev/vda" for the device of that number, or its number when the kernel has no name for it. */
  deviceName(major: number, minor: number): string;
}

export interface WantedStats {
  /** Paths of containers' and pods' groups. */
  readonly cgroups: readonly string[];
  /** Pods with a network of their own. */
  readonly networks: readonly string[];
  /** Containers whose processes are looked at; only for who wants every detail, for it is dear. */
  readonly processes: readonly { readonly id: string; readonly cgroupPath: string; readonly pid: number }[];
  /** Also those numbers of the groups that only metrics show. */
  readonly detail: boolean;
}

export interface RuntimeSample {
  readonly cgroups: ReadonlyMap<string, CgroupStats>;
  /** By pod id; without `lo`, and no more than `interfaceLimit` of each. */
  readonly networks: ReadonlyMap<string, readonly InterfaceStats[]>;
  /** Pods that have more interfaces than are told of here. */
  readonly cutNetworks: ReadonlySet<string>;
  /** By container id. */
  readonly processes: ReadonlyMap<string, ProcessStats>;
}

/** Of one pod: who may make interfaces can make thousands, and each is eight numbers of every answer about metrics. */
export const interfaceLimit = 32;

export interface InterfaceStats {
  readonly name: string;
  readonly rx: Traffic;
  readonly tx: Traffic;
}

export interface Traffic {
  readonly bytes: bigint;
  readonly packets: bigint;
  readonly errors: bigint;
  readonly dropped: bigint;
}

export interface ProcessStats {
  /** Open files, sockets among them. */
  readonly descriptors: bigint;
  readonly sockets: bigint;
  /** Of the container's first process; missing: unlimited. */
  readonly maxOpenFiles?: bigint;
}
