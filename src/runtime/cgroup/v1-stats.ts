import type { CgroupStats, CpuStats, FileTexts, MemoryStats, StatsFile, StatsFormat, SwapStats } from './stats.ts';
import { blkioDevices, defined, field, lineCount, toLimit, toWhole } from './stats-text.ts';

/** @param pageSizes of huge pages: "2MB" */
export function v1StatsFormat(pageSizes: readonly string[]): StatsFormat {
  return { files: [...files, ...pageSizes.flatMap(hugepageFiles)], parse: (text) => parseV1Stats(text, pageSizes) };
}

const files: readonly StatsFile[] = [
  { controller: 'cpuacct', name: 'cpuacct.usage' },
  { controller: 'memory', name: 'memory.usage_in_bytes' },
  { controller: 'memory', name: 'memory.stat' },
  { controller: 'memory', name: 'memory.limit_in_bytes' },
  { controller: 'memory', name: 'memory.memsw.limit_in_bytes' },
  { controller: 'pids', name: 'pids.current' },
  { controller: 'cpuacct', name: 'cpuacct.usage_user', detail: true },
  { controller: 'cpuacct', name: 'cpuacct.usage_sys', detail: true },
  { controller: 'cpu', name: 'cpu.stat', detail: true },
  { controller: 'memory', name: 'memory.max_usage_in_bytes', detail: true },
  { controller: 'memory', name: 'memory.kmem.usage_in_bytes', detail: true },
  { controller: 'memory', name: 'memory.failcnt', detail: true },
  { controller: 'memory', name: 'memory.oom_control', detail: true },
  { controller: 'pids', name: 'pids.max', detail: true },
  { controller: 'pids', name: 'cgroup.procs', detail: true },
  { controller: 'blkio', name: 'blkio.throttle.io_service_bytes_recursive', detail: true },
  { controller: 'blkio', name: 'blkio.throttle.io_serviced_recursive', detail: true },
];

const hugepageFiles = (size: string): StatsFile[] =>
  ['usage', 'max_usage'].map((kind) => ({
    controller: 'hugetlb',
    name: `hugetlb.${size}.${kind}_in_bytes`,
    detail: true,
  }));

/** Numbers of a cgroup v1 group. Pure; anything missing or garbled is left out. */
export function parseV1Stats(text: FileTexts, pageSizes: readonly string[] = []): CgroupStats {
  const memory = v1Memory(text);
  const current = toWhole(text('pids.current'));
  const procs = text('cgroup.procs');
  const io = blkioDevices(
    text('blkio.throttle.io_service_bytes_recursive'),
    text('blkio.throttle.io_serviced_recursive'),
  );
  const hugepages = pageSizes.flatMap((pageSize) => {
    const usage = toWhole(text(`hugetlb.${pageSize}.usage_in_bytes`));
    const maxUsage = toWhole(text(`hugetlb.${pageSize}.max_usage_in_bytes`));
    return usage === undefined ? [] : [{ pageSize, usage, ...defined({ maxUsage }) }];
  });
  return defined({
    cpu: v1Cpu(text),
    memory,
    swap: v1Swap(text),
    pids: current === undefined ? undefined : { current, ...defined({ limit: toLimit(text('pids.max')) }) },
    processes: procs === '' ? undefined : lineCount(procs),
    hugepages: hugepages.length > 0 ? hugepages : undefined,
    ...io,
  });
}

function v1Cpu(text: FileTexts): CpuStats | undefined {
  const usageNs = toWhole(text('cpuacct.usage'));
  if (usageNs === undefined) return undefined;
  const quota = text('cpu.stat');
  return {
    usageNs,
    ...defined({
      userNs: toWhole(text('cpuacct.usage_user')),
      systemNs: toWhole(text('cpuacct.usage_sys')),
      periods: field(quota, 'nr_periods'),
      throttledPeriods: field(quota, 'nr_throttled'),
      throttledNs: field(quota, 'throttled_time'),
    }),
  };
}

function v1Memory(text: FileTexts): MemoryStats | undefined {
  const usage = toWhole(text('memory.usage_in_bytes'));
  if (usage === undefined) return undefined;
  const stat = text('memory.stat');
  const inactive = field(stat, 'total_inactive_file') ?? 0n;
  return {
    usage,
    workingSet: inactive < usage ? usage - inactive : 0n,
    ...defined({
      limit: toLimit(text('memory.limit_in_bytes')),
      rss: field(stat, 'total_rss'),
      cache: field(stat, 'total_cache'),
      mappedFile: field(stat, 'total_mapped_file'),
      pageFaults: field(stat, 'total_pgfault'),
      majorPageFaults: field(stat, 'total_pgmajfault'),
      maxUsage: toWhole(text('memory.max_usage_in_bytes')),
      kernel: toWhole(text('memory.kmem.usage_in_bytes')),
      failures: toWhole(text('memory.failcnt')),
      oomKills: field(text('memory.oom_control'), 'oom_kill'),
    }),
  };
}

/** Swap's own limit is what the common limit leaves beyond memory's. */
function v1Swap(text: FileTexts): SwapStats | undefined {
  const usage = field(text('memory.stat'), 'total_swap');
  if (usage === undefined) return undefined;
  const both = toLimit(text('memory.memsw.limit_in_bytes'));
  const memory = toLimit(text('memory.limit_in_bytes'));
  const limit = both === undefined || memory === undefined || both < memory ? undefined : both - memory;
  return { usage, ...defined({ limit }) };
}
