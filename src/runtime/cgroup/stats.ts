/** What the kernel counts for a control group and all below it. What is not counted here is missing. */
export interface CgroupStats {
  readonly cpu?: CpuStats;
  readonly memory?: MemoryStats;
  readonly swap?: SwapStats;
  /** Threads, and with `detail` their limit; no limit: unlimited. */
  readonly pids?: { readonly current: bigint; readonly limit?: bigint };
  readonly ioPressure?: Pressure;
  /** Only with `detail`. */
  readonly io?: readonly DeviceIo[];
  /** There are more devices than `deviceLimit`, of which `io` tells. */
  readonly moreDevices?: true;
  readonly processes?: number;
  readonly hugepages?: readonly HugepageStats[];
}

export interface CpuStats {
  readonly usageNs: bigint;
  readonly pressure?: Pressure;
  /** Only with `detail` on cgroup v1. */
  readonly userNs?: bigint;
  readonly systemNs?: bigint;
  /** Periods of a quota: only where there is one, and on cgroup v1 with `detail`. */
  readonly periods?: bigint;
  readonly throttledPeriods?: bigint;
  readonly throttledNs?: bigint;
}

/** Bytes. */
export interface MemoryStats {
  readonly usage: bigint;
  /** What cannot be taken back without effort: the usage without the cached files that nobody used lately. */
  readonly workingSet: bigint;
  /** The group's own; missing: none. */
  readonly limit?: bigint;
  readonly rss?: bigint;
  readonly cache?: bigint;
  readonly mappedFile?: bigint;
  readonly pageFaults?: bigint;
  readonly majorPageFaults?: bigint;
  readonly pressure?: Pressure;
  /** Only with `detail`. */
  readonly maxUsage?: bigint;
  readonly kernel?: bigint;
  /** How often the limit was hit. */
  readonly failures?: bigint;
  readonly oomKills?: bigint;
}

export interface SwapStats {
  readonly usage: bigint;
  /** Of swap alone; missing: none. */
  readonly limit?: bigint;
}

/** How long some or all tasks waited (PSI). */
export interface Pressure {
  readonly some?: PressureLine;
  readonly full?: PressureLine;
}

export interface PressureLine {
  /** Shares of the last 10, 60 and 300 seconds, in percent. */
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  /** Microseconds. */
  readonly total: bigint;
}

/** Of one group: each device is six numbers of every answer about metrics. */
export const deviceLimit = 64;

export interface DeviceIo {
  readonly major: number;
  readonly minor: number;
  readonly readBytes: bigint;
  readonly writeBytes: bigint;
  readonly reads: bigint;
  readonly writes: bigint;
}

export interface HugepageStats {
  /** "2MB" */
  readonly pageSize: string;
  readonly usage: bigint;
  /** cgroup v1 only. */
  readonly maxUsage?: bigint;
}

/** A file that stats are read from. */
export interface StatsFile {
  readonly controller: string;
  readonly name: string;
  /** Read only when somebody wants every detail. */
  readonly detail?: true;
}

/** Gives a file's content, or "" when it could not be read. */
export type FileTexts = (name: string) => string;

/** Which files one version of control groups counts in, and how to read them. */
export interface StatsFormat {
  readonly files: readonly StatsFile[];
  parse(text: FileTexts): CgroupStats;
}
