import type { RlimitsConfig } from '#config/slices';
import { shownLimit, splitLimit, unlimited } from '#config/values';

/** A limit of setrlimit(2) by the name of the OCI specification. */
export interface Rlimit {
  readonly type: string;
  readonly soft: bigint;
  readonly hard: bigint;
}

/** RLIMIT_* numbers of the generic kernel headers. */
export const rlimitNumbers: Readonly<Record<string, number>> = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
};

/** What a daemon of systemd has beside what is configured: nothing is bounded but what the kernel bounds for everybody. */
const fixed: Readonly<Record<string, bigint>> = {
  RLIMIT_AS: unlimited,
  RLIMIT_CPU: unlimited,
  RLIMIT_DATA: unlimited,
  RLIMIT_FSIZE: unlimited,
  RLIMIT_LOCKS: unlimited,
  RLIMIT_RSS: unlimited,
  RLIMIT_RTTIME: unlimited,
  RLIMIT_NICE: 0n,
  RLIMIT_RTPRIO: 0n,
};

export interface RlimitMachine {
  /** Whether berthd may give more than it has (CAP_SYS_RESOURCE). */
  readonly mayRaise: boolean;
  /** The hard limit of berthd. */
  readonly hardOf: (resource: number) => bigint;
  /** /proc/sys/kernel/threads-max: half of it is the kernel's own limit of queued signals. */
  readonly threads: bigint;
  /** /proc/sys/fs/nr_open: no limit of open files may be above it, whoever sets it. */
  readonly mostFiles: bigint;
}

/**
 * Every limit of a container's processes, so that none comes from whoever started berthd.
 *
 * @returns also those that had to be cut to what berthd may give, as "core unlimited: 0"
 */
export function containerRlimits(
  config: RlimitsConfig,
  machine: RlimitMachine,
): { readonly rlimits: readonly Rlimit[]; readonly cut: readonly string[] } {
  const wanted: Rlimit[] = [
    ...Object.entries(config).map(([name, text]) => configured(name, text as string)),
    ...Object.entries(fixed).map(([type, limit]) => ({ type, soft: limit, hard: limit })),
    { type: 'RLIMIT_SIGPENDING', soft: machine.threads / 2n, hard: machine.threads / 2n },
  ];
  const rlimits = wanted.map((limit) => clamp(limit, machine));
  const cut = wanted.flatMap(({ type, hard }, at) => {
    const given = rlimits[at]?.hard ?? hard;
    // How many signals the kernel queues is its own affair.
    return given === hard || type === 'RLIMIT_SIGPENDING' ? [] : [`${type} ${shownLimit(hard)}: ${shownLimit(given)}`];
  });
  return { rlimits: rlimits.toSorted((a, b) => a.type.localeCompare(b.type)), cut };
}

function configured(name: string, text: string): Rlimit {
  // The schema has checked it.
  const { soft, hard } = splitLimit(text) ?? { soft: unlimited, hard: unlimited };
  return { type: `RLIMIT_${name.toUpperCase()}`, soft, hard };
}

function clamp({ type, soft, hard }: Rlimit, machine: RlimitMachine): Rlimit {
  const number = rlimitNumbers[type] ?? -1;
  const own = machine.mayRaise ? unlimited : machine.hardOf(number);
  const most = type === 'RLIMIT_NOFILE' && machine.mostFiles < own ? machine.mostFiles : own;
  const given = hard < most ? hard : most;
  return { type, soft: soft < given ? soft : given, hard: given };
}
