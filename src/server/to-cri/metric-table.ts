import type { MetricType } from '#cri-api/gen/runtime/v1/MetricType';
import type { ContainerView } from '#sandbox/pod';
import type { DetailedStats, FilesystemSize, InterfaceStats, LayerUsage, Pressure } from '#sandbox/stats';

// Every metric of pods and containers that the kubelet takes from the runtime in place of cadvisor: names and meanings
// are cadvisor's, so that dashboards go on working. A value is a whole number: seconds lose their fractions.

/** A value, and its labels beyond those that all metrics have. */
export interface Reading {
  readonly value: bigint;
  readonly labels?: readonly string[];
}

interface Row<Subject> {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  /** Keys of the labels beyond those that all have. */
  readonly labels: readonly string[];
  readonly read: (subject: Subject) => readonly Reading[];
}

export interface ContainerSubject {
  readonly container: ContainerView;
  readonly stats: DetailedStats;
  readonly layer: LayerUsage | undefined;
  readonly filesystem: FilesystemSize | undefined;
  readonly deviceName: (major: number, minor: number) => string;
}

type Value = bigint | number | undefined;

const second = 1_000_000_000n;
const seconds = (ns: bigint | undefined): bigint | undefined => (ns === undefined ? undefined : ns / second);
const one = (value: Value): readonly Reading[] => (value === undefined ? [] : [{ value: BigInt(value) }]);

const counter = <S>(name: string, help: string, read: (subject: S) => Value): Row<S> =>
  ({ name, help, type: 'COUNTER', labels: [], read: (subject) => one(read(subject)) }) as const;
const gauge = <S>(name: string, help: string, read: (subject: S) => Value): Row<S> =>
  ({ name, help, type: 'GAUGE', labels: [], read: (subject) => one(read(subject)) }) as const;

/** What a container may use, as it was asked for: the CRI's words, 0 and -1 for no limit. */
const spec = (read: (resources: Resources) => string | undefined) => (subject: ContainerSubject) => {
  const { status, identity } = subject.container;
  const resources = status.resources ?? identity.config.linux?.resources;
  const value = BigInt((resources ? read(resources) : undefined) ?? '0');
  return value > 0n ? value : 0n;
};
type Resources = NonNullable<NonNullable<ContainerView['identity']['config']['linux']>['resources']>;

const pressure =
  (of: 'cpu' | 'memory' | 'io', kind: keyof Pressure) =>
  ({ stats: { group } }: ContainerSubject): bigint | undefined => {
    const found = of === 'io' ? group?.ioPressure : group?.[of]?.pressure;
    const micros = found?.[kind]?.total;
    return micros === undefined ? undefined : micros / 1_000_000n;
  };

/** One reading for each device. */
const perDevice = (
  name: string,
  help: string,
  field: 'readBytes' | 'reads' | 'writeBytes' | 'writes',
): Row<ContainerSubject> => ({
  name,
  help,
  type: 'COUNTER',
  labels: ['device'],
  read: ({ stats, deviceName }) =>
    (stats.group?.io ?? []).map((io) => ({ value: io[field], labels: [deviceName(io.major, io.minor)] })),
});

const perPageSize = (name: string, help: string, field: 'usage' | 'maxUsage'): Row<ContainerSubject> => ({
  name,
  help,
  type: 'GAUGE',
  labels: ['pagesize'],
  read: ({ stats }) =>
    (stats.group?.hugepages ?? []).flatMap((pages) => {
      const value = pages[field];
      return value === undefined ? [] : [{ value, labels: [pages.pageSize] }];
    }),
});

export const containerMetrics: readonly Row<ContainerSubject>[] = [
  {
    name: 'container_cpu_usage_seconds_total',
    help: 'Processor time used',
    type: 'COUNTER',
    labels: ['cpu'],
    read: ({ stats }) => one(seconds(stats.group?.cpu?.usageNs)).map(({ value }) => ({ value, labels: ['total'] })),
  },
  counter('container_cpu_user_seconds_total', 'Processor time used in user mode', ({ stats }) =>
    seconds(stats.group?.cpu?.userNs),
  ),
  counter('container_cpu_system_seconds_total', 'Processor time used in kernel mode', ({ stats }) =>
    seconds(stats.group?.cpu?.systemNs),
  ),
  counter(
    'container_cpu_cfs_periods_total',
    'Periods of the processor quota that have passed',
    ({ stats }) => stats.group?.cpu?.periods ?? 0n,
  ),
  counter(
    'container_cpu_cfs_throttled_periods_total',
    'Periods in which the processor quota was used up',
    ({ stats }) => stats.group?.cpu?.throttledPeriods ?? 0n,
  ),
  counter(
    'container_cpu_cfs_throttled_seconds_total',
    'Time spent waiting for the next period of the quota',
    ({ stats }) => seconds(stats.group?.cpu?.throttledNs ?? 0n),
  ),

  gauge(
    'container_memory_usage_bytes',
    'Memory in use, whenever it was used last',
    ({ stats }) => stats.group?.memory?.usage,
  ),
  gauge(
    'container_memory_working_set_bytes',
    'Memory in use without cached files that nobody used lately',
    ({ stats }) => stats.group?.memory?.workingSet,
  ),
  gauge('container_memory_max_usage_bytes', 'Most memory ever in use', ({ stats }) => {
    const { memory } = stats.group ?? {};
    return memory?.maxUsage ?? memory?.usage;
  }),
  gauge('container_memory_rss', 'Anonymous memory and swap cache', ({ stats }) => stats.group?.memory?.rss),
  gauge('container_memory_cache', 'Memory of cached files', ({ stats }) => stats.group?.memory?.cache),
  gauge('container_memory_mapped_file', 'Memory of mapped files', ({ stats }) => stats.group?.memory?.mappedFile),
  gauge('container_memory_kernel_usage', 'Memory of the kernel', ({ stats }) => stats.group?.memory?.kernel ?? 0n),
  gauge('container_memory_swap', 'Swap in use', ({ stats }) => stats.group?.swap?.usage ?? 0n),
  counter(
    'container_memory_failcnt',
    'How often the memory limit was hit',
    ({ stats }) => stats.group?.memory?.failures ?? 0n,
  ),
  {
    name: 'container_memory_failures_total',
    help: 'Page faults, by kind',
    type: 'COUNTER',
    labels: ['failure_type', 'scope'],
    read: ({ stats: { group } }) =>
      (['container', 'hierarchy'] as const).flatMap((scope) => [
        { value: group?.memory?.pageFaults ?? 0n, labels: ['pgfault', scope] },
        { value: group?.memory?.majorPageFaults ?? 0n, labels: ['pgmajfault', scope] },
      ]),
  },
  counter(
    'container_oom_events_total',
    'Processes killed because the memory limit was reached',
    ({ stats }) => stats.group?.memory?.oomKills ?? 0n,
  ),
  perPageSize('container_hugetlb_usage_bytes', 'Huge pages in use', 'usage'),
  perPageSize('container_hugetlb_max_usage_bytes', 'Most huge pages ever in use', 'maxUsage'),

  {
    name: 'container_blkio_device_usage_total',
    help: 'Bytes read from and written to devices',
    type: 'COUNTER',
    labels: ['device', 'major', 'minor', 'operation'],
    read: ({ stats, deviceName }) =>
      (stats.group?.io ?? []).flatMap(({ major, minor, readBytes, writeBytes }) => {
        const device = [deviceName(major, minor), String(major), String(minor)];
        return [
          { value: readBytes, labels: [...device, 'Read'] },
          { value: writeBytes, labels: [...device, 'Write'] },
        ];
      }),
  },
  perDevice('container_fs_reads_bytes_total', 'Bytes read', 'readBytes'),
  perDevice('container_fs_reads_total', 'Reads that have ended', 'reads'),
  perDevice('container_fs_writes_bytes_total', 'Bytes written', 'writeBytes'),
  perDevice('container_fs_writes_total', 'Writes that have ended', 'writes'),
  gauge('container_fs_usage_bytes', 'Size of the writable layer', ({ layer }) => layer?.bytes),
  gauge(
    'container_fs_limit_bytes',
    'Size of the file system of the writable layer',
    ({ filesystem }) => filesystem?.bytes,
  ),
  gauge(
    'container_fs_inodes_total',
    'Inodes of the file system of the writable layer',
    ({ filesystem }) => filesystem?.inodes,
  ),
  gauge(
    'container_fs_inodes_free',
    'Free inodes of the file system of the writable layer',
    ({ filesystem }) => filesystem?.inodesFree,
  ),

  gauge('container_processes', 'Processes', ({ stats }) => stats.group?.processes),
  gauge('container_threads', 'Threads', ({ stats }) => stats.group?.pids?.current),
  gauge('container_threads_max', 'Threads there may be; 0: any number', ({ stats }) =>
    stats.group?.pids ? (stats.group.pids.limit ?? 0n) : undefined,
  ),
  gauge('container_file_descriptors', 'Open files', ({ stats }) => stats.processes?.descriptors),
  gauge('container_sockets', 'Open sockets', ({ stats }) => stats.processes?.sockets),
  {
    name: 'container_ulimits_soft',
    help: 'Soft limits of the first process; an unlimited one is not told',
    type: 'GAUGE',
    labels: ['ulimit'],
    read: ({ stats }) => {
      const value = stats.processes?.maxOpenFiles;
      return value === undefined ? [] : [{ value, labels: ['max_open_files'] }];
    },
  },

  gauge(
    'container_spec_cpu_period',
    'Period of the processor quota, in microseconds',
    spec(({ cpu_period }) => cpu_period),
  ),
  gauge(
    'container_spec_cpu_quota',
    'Processor quota, in microseconds a period; 0: none',
    spec(({ cpu_quota }) => cpu_quota),
  ),
  gauge(
    'container_spec_cpu_shares',
    'Share of the processor',
    spec(({ cpu_shares }) => cpu_shares),
  ),
  gauge(
    'container_spec_memory_limit_bytes',
    'Memory limit; 0: none',
    spec(({ memory_limit_in_bytes }) => memory_limit_in_bytes),
  ),
  gauge(
    'container_spec_memory_swap_limit_bytes',
    'Limit of memory and swap together; 0: none',
    spec(({ memory_swap_limit_in_bytes }) => memory_swap_limit_in_bytes),
  ),
  gauge(
    'container_spec_memory_reservation_limit_bytes',
    'Memory that is protected from being taken back; 0: none',
    spec(({ unified }) => (/^\d+$/.test(unified['memory.min'] ?? '') ? unified['memory.min'] : '0')),
  ),
  gauge('container_start_time_seconds', 'When it started, in seconds since 1970', ({ container }) =>
    seconds(container.status.startedAtNs),
  ),
  gauge('container_last_seen', 'When it was last looked at, in seconds since 1970', ({ stats }) => seconds(stats.atNs)),

  ...(['cpu', 'memory', 'io'] as const).flatMap((of) => [
    counter(
      `container_pressure_${of}_waiting_seconds_total`,
      `Time in which some tasks waited (${of} pressure)`,
      pressure(of, 'some'),
    ),
    counter(
      `container_pressure_${of}_stalled_seconds_total`,
      `Time in which all tasks waited (${of} pressure)`,
      pressure(of, 'full'),
    ),
  ]),
];

/** Of pods, which have the network. */
export const podMetrics: readonly Row<readonly InterfaceStats[]>[] = (
  [
    ['receive', 'rx', 'received'],
    ['transmit', 'tx', 'sent'],
  ] as const
).flatMap(([verb, way, done]) =>
  (
    [
      ['bytes', 'bytes', `Bytes ${done}`],
      ['packets', 'packets', `Packets ${done}`],
      ['packets_dropped', 'dropped', `Packets dropped instead of being ${done}`],
      ['errors', 'errors', `Errors in packets ${done}`],
    ] as const
  ).map(([what, field, help]) => ({
    name: `container_network_${verb}_${what}_total`,
    help,
    type: 'COUNTER',
    labels: ['interface'],
    read: (interfaces) => interfaces.map((each) => ({ value: each[way][field], labels: [each.name] })),
  })),
);
