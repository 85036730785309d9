import type { CgroupStats, CpuStats, FileTexts, MemoryStats, StatsFile, StatsFormat } from './stats.ts';
import { defined, field, lineCount, toDeviceIo, toLimit, toPressure, toWhole } from './stats-text.ts';

/** @param pageSizes of huge pages: "2MB" */
export function v2StatsFormat(pageSizes: readonly string[]): StatsFormat {
  const hugepages = pageSizes.map((size): StatsFile => ({
    controller: 'hugetlb',
    name: `hugetlb.${size}.current`,
    detail: true,
  }));
  return { files: [...files, ...hugepages], parse: (text) => parseV2Stats(text, pageSizes) };
}

const files: readonly StatsFile[] = [
  { controller: 'cpu', name: 'cpu.stat' },
  { controller: 'cpu', name: 'cpu.pressure' },
  { controller: 'memory', name: 'memory.current' },
  { controller: 'memory', name: 'memory.stat' },
  { controller: 'memory', name: 'memory.max' },
  { controller: 'memory', name: 'memory.swap.current' },
  { controller: 'memory', name: 'memory.swap.max' },
  { controller: 'memory', name: 'memory.pressure' },
  { controller: 'io', name: 'io.pressure' },
  { controller: 'pids', name: 'pids.current' },
  { controller: 'memory', name: 'memory.peak', detail: true },
  { controller: 'memory', name: 'memory.events', detail: true },
  { controller: 'pids', name: 'pids.max', detail: true },
  { controller: 'pids', name: 'cgroup.procs', detail: true },
  { controller: 'io', name: 'io.stat', detail: true },
];

/** Numbers of a cgroup v2 group. Pure; anything missing or garbled is left out. */
export function parseV2Stats(text: FileTexts, pageSizes: readonly string[] = []): CgroupStats {
  const current = toWhole(text('pids.current'));
  const swapUsage = toWhole(text('memory.swap.current'));
  const procs = text('cgroup.procs');
  const io = toDeviceIo(text('io.stat'));
  const hugepages = pageSizes.flatMap((pageSize) => {
    const usage = toWhole(text(`hugetlb.${pageSize}.current`));
    return usage === undefined ? [] : [{ pageSize, usage }];
  });
  const swapLimit = toLimit(text('memory.swap.max'));
  return defined({
    cpu: v2Cpu(text),
    memory: v2Memory(text),
    swap: swapUsage === undefined ? undefined : { usage: swapUsage, ...defined({ limit: swapLimit }) },
    pids: current === undefined ? undefined : { current, ...defined({ limit: toLimit(text('pids.max')) }) },
    ioPressure: toPressure(text('io.pressure')),
    processes: procs === '' ? undefined : lineCount(procs),
    hugepages: hugepages.length > 0 ? hugepages : undefined,
    ...io,
  });
}

function v2Cpu(text: FileTexts): CpuStats | undefined {
  const stat = text('cpu.stat');
  const usage = field(stat, 'usage_usec');
  if (usage === undefined) return undefined;
  const ns = (key: string): bigint | undefined => {
    const micros = field(stat, key);
    return micros === undefined ? undefined : micros * 1000n;
  };
  return {
    usageNs: usage * 1000n,
    ...defined({
      userNs: ns('user_usec'),
      systemNs: ns('system_usec'),
      periods: field(stat, 'nr_periods'),
      throttledPeriods: field(stat, 'nr_throttled'),
      throttledNs: ns('throttled_usec'),
      pressure: toPressure(text('cpu.pressure')),
    }),
  };
}

function v2Memory(text: FileTexts): MemoryStats | undefined {
  const usage = toWhole(text('memory.current'));
  if (usage === undefined) return undefined;
  const stat = text('memory.stat');
  const events = text('memory.events');
  const inactive = field(stat, 'inactive_file') ?? 0n;
  return {
    usage,
    workingSet: inactive < usage ? usage - inactive : 0n,
    ...defined({
      limit: toLimit(text('memory.max')),
      rss: field(stat, 'anon'),
      cache: field(stat, 'file'),
      mappedFile: field(stat, 'file_mapped'),
      pageFaults: field(stat, 'pgfault'),
      majorPageFaults: field(stat, 'pgmajfault'),
      pressure: toPressure(text('memory.pressure')),
      maxUsage: toWhole(text('memory.peak')),
      // Linux 5.18 and later have the sum.
      kernel: field(stat, 'kernel') ?? field(stat, 'slab'),
      failures: field(events, 'max'),
      oomKills: field(events, 'oom_kill'),
    }),
  };
}
