import type { LinuxContainerResources__Output } from '#cri-api/gen/runtime/v1/LinuxContainerResources';
import type { LinuxResources } from '#runtime/spec/oci';
import { containerResources } from './container-resources.ts';

type Resources = LinuxContainerResources__Output;

/** A message that names no limit. */
export const noResources: Resources = {
  cpu_period: '0',
  cpu_quota: '0',
  cpu_shares: '0',
  memory_limit_in_bytes: '0',
  oom_score_adj: '0',
  cpuset_cpus: '',
  cpuset_mems: '',
  hugepage_limits: [],
  unified: {},
  memory_swap_limit_in_bytes: '0',
};

const numbers = [
  'cpu_period',
  'cpu_quota',
  'cpu_shares',
  'memory_limit_in_bytes',
  'memory_swap_limit_in_bytes',
] as const;
const texts = ['cpuset_cpus', 'cpuset_mems'] as const;

/**
 * The limits after a change: what is asked for in place of what is, the rest as it is. In the CRI 0 and "" ask for
 * nothing. oom_score_adj belongs to processes, not to the group, and stays.
 */
export function mergeResources(present: Resources | null | undefined, asked: Resources): Resources {
  const before = present ?? noResources;
  const merged: Resources = { ...before };
  for (const field of numbers) if (asked[field] !== '0') merged[field] = asked[field];
  for (const field of texts) if (asked[field] !== '') merged[field] = asked[field];
  merged.memory_swap_limit_in_bytes = swapAfter(before, asked);
  const sizes = new Map(before.hugepage_limits.map((limit) => [limit.page_size, limit]));
  for (const limit of asked.hugepage_limits) sizes.set(limit.page_size, limit);
  return { ...merged, hugepage_limits: [...sizes.values()], unified: { ...before.unified, ...asked.unified } };
}

/** Of memory and swap together. When only memory changes, a container without swap stays without. */
function swapAfter(before: Resources, asked: Resources): string {
  const swap = before.memory_swap_limit_in_bytes;
  const memory = asked.memory_limit_in_bytes;
  if (asked.memory_swap_limit_in_bytes !== '0') return asked.memory_swap_limit_in_bytes;
  if (memory === '0' || swap === '0' || swap === '-1') return swap;
  const hadSwap = swap !== before.memory_limit_in_bytes;
  return hadSwap && BigInt(memory) > 0n && BigInt(swap) > BigInt(memory) ? swap : memory;
}

/** What has to be written for the change, in the words of the OCI specification: whole pairs, and nothing else. */
export function changedResources(merged: Resources, asked: Resources): LinuxResources {
  const all = containerResources(merged);
  const time = asked.cpu_quota !== '0' || asked.cpu_period !== '0';
  const memory = asked.memory_limit_in_bytes !== '0' || asked.memory_swap_limit_in_bytes !== '0';
  const wanted = {
    cpuShares: asked.cpu_shares !== '0',
    cpuQuota: time,
    cpuPeriod: time,
    cpusetCpus: asked.cpuset_cpus !== '',
    cpusetMems: asked.cpuset_mems !== '',
    memoryLimit: memory,
    memorySwap: memory,
  };
  const kept = Object.entries(wanted).filter(([key, wants]) => wants && all[key as keyof LinuxResources] !== undefined);
  return {
    ...(Object.fromEntries(kept.map(([key]) => [key, all[key as keyof LinuxResources]])) as LinuxResources),
    hugepageLimits: asked.hugepage_limits.map(({ page_size, limit }) => ({
      pageSize: page_size,
      limit: BigInt(limit),
    })),
    unified: asked.unified,
  };
}
