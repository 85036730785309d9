import type { ContainerStats } from '#cri-api/gen/runtime/v1/ContainerStats';
import type { CpuUsage } from '#cri-api/gen/runtime/v1/CpuUsage';
import type { FilesystemUsage } from '#cri-api/gen/runtime/v1/FilesystemUsage';
import type { MemoryUsage } from '#cri-api/gen/runtime/v1/MemoryUsage';
import type { NetworkInterfaceUsage } from '#cri-api/gen/runtime/v1/NetworkInterfaceUsage';
import type { NetworkUsage } from '#cri-api/gen/runtime/v1/NetworkUsage';
import type { PodSandboxStats } from '#cri-api/gen/runtime/v1/PodSandboxStats';
import type { PsiData } from '#cri-api/gen/runtime/v1/PsiData';
import type { PsiStats } from '#cri-api/gen/runtime/v1/PsiStats';
import type { SwapUsage } from '#cri-api/gen/runtime/v1/SwapUsage';
import type { CgroupStats, InterfaceStats, LayerUsage, MemoryStats, Pressure, PressureLine } from '#sandbox/stats';
import type { ContainerView, Pod } from '#sandbox/pod';
import type { StatsSampler } from '#sandbox/stats-sampler';
import { toInt64 } from '../safe-int.ts';

/** A container's numbers as of the last sample; those that are not known are absent, never 0. */
export function toCriContainerStats({ id, identity }: ContainerView, stats: StatsSampler): ContainerStats {
  const { metadata, labels, annotations } = identity.config;
  const found = stats.container(id);
  const group = found?.group;
  const timestamp = toInt64(found?.atNs ?? 0n);
  const layer = stats.layer(id);
  return {
    attributes: { id, metadata, labels, annotations },
    cpu: toCpu(group, found?.nanoCores, timestamp),
    memory: toMemory(group?.memory, timestamp),
    writable_layer: layer ? toFilesystem(layer, stats.layersMountpoint) : null,
    swap: toSwap(group, timestamp),
    io: group?.ioPressure ? { timestamp, psi: toPsi(group.ioPressure) } : null,
  } satisfies ContainerStats;
}

/** A pod's numbers and those of its running containers. */
export function toCriPodStats(pod: Pod, stats: StatsSampler): PodSandboxStats {
  const { metadata, labels, annotations } = pod.identity.config;
  const found = stats.pod(pod.id);
  const timestamp = toInt64(found?.atNs ?? 0n);
  const group = found?.group;
  const running = pod.listed.filter(({ status }) => status.state === 'running');
  return {
    attributes: { id: pod.id, metadata, labels, annotations },
    linux: {
      cpu: toCpu(group, found?.nanoCores, timestamp),
      memory: toMemory(group?.memory, timestamp),
      network: found?.network ? toNetwork(found.network, timestamp) : null,
      process: group?.pids ? { timestamp, process_count: uint(group.pids.current) } : null,
      containers: running.map((container) => toCriContainerStats(container, stats)),
      io: group?.ioPressure ? { timestamp, psi: toPsi(group.ioPressure) } : null,
    },
  } satisfies PodSandboxStats;
}

const uint = (value: bigint): { value: string } => ({ value: value.toString() });
const optional = (value: bigint | undefined): { value: string } | null => (value === undefined ? null : uint(value));

function toCpu(group: CgroupStats | undefined, nanoCores: bigint | undefined, timestamp: string): CpuUsage | null {
  if (!group?.cpu) return null;
  return {
    timestamp,
    usage_core_nano_seconds: uint(group.cpu.usageNs),
    usage_nano_cores: optional(nanoCores),
    psi: toPsi(group.cpu.pressure),
  } satisfies CpuUsage;
}

function toMemory(memory: MemoryStats | undefined, timestamp: string): MemoryUsage | null {
  if (!memory) return null;
  const { limit, workingSet } = memory;
  return {
    timestamp,
    working_set_bytes: uint(workingSet),
    available_bytes: limit === undefined ? null : uint(limit > workingSet ? limit - workingSet : 0n),
    usage_bytes: uint(memory.usage),
    rss_bytes: optional(memory.rss),
    page_faults: optional(memory.pageFaults),
    major_page_faults: optional(memory.majorPageFaults),
    psi: toPsi(memory.pressure),
  } satisfies MemoryUsage;
}

function toSwap(group: CgroupStats | undefined, timestamp: string): SwapUsage | null {
  const { swap } = group ?? {};
  if (!swap) return null;
  const { limit, usage } = swap;
  const available = limit === undefined ? undefined : limit > usage ? limit - usage : 0n;
  return { timestamp, swap_available_bytes: optional(available), swap_usage_bytes: uint(usage) };
}

function toPsi(pressure: Pressure | undefined): PsiStats | null {
  return pressure ? { Some: toPsiLine(pressure.some), Full: toPsiLine(pressure.full) } : null;
}

function toPsiLine(line: PressureLine | undefined): PsiData | null {
  if (!line) return null;
  return { Total: line.total.toString(), Avg10: line.avg10, Avg60: line.avg60, Avg300: line.avg300 };
}

function toNetwork(interfaces: readonly InterfaceStats[], timestamp: string): NetworkUsage {
  const main = interfaces.find(({ name }) => name === 'eth0') ?? interfaces[0];
  const others = interfaces.filter((each) => each !== main);
  return {
    timestamp,
    default_interface: main ? toInterface(main) : null,
    interfaces: others.map(toInterface),
  } satisfies NetworkUsage;
}

function toInterface({ name, rx, tx }: InterfaceStats): NetworkInterfaceUsage {
  return {
    name,
    rx_bytes: uint(rx.bytes),
    rx_errors: uint(rx.errors),
    tx_bytes: uint(tx.bytes),
    tx_errors: uint(tx.errors),
  } satisfies NetworkInterfaceUsage;
}

function toFilesystem({ atNs, bytes, inodes }: LayerUsage, mountpoint: string): FilesystemUsage {
  return {
    timestamp: toInt64(atNs),
    fs_id: { mountpoint },
    used_bytes: uint(bytes),
    inodes_used: uint(inodes),
  } satisfies FilesystemUsage;
}
