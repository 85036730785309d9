import type { IDMapping } from '#cri-api/gen/runtime/v1/IDMapping';
import type { LinuxContainerResources } from '#cri-api/gen/runtime/v1/LinuxContainerResources';

/** Every limit, each a number of its own for each `n`. */
export function allResources(n: number): LinuxContainerResources {
  return {
    cpu_period: `${100_000 + n}`,
    cpu_quota: `${50_000 + n}`,
    cpu_shares: `${512 + n}`,
    memory_limit_in_bytes: `${2 ** 28 + n}`,
    oom_score_adj: `${100 + n}`,
    cpuset_cpus: `0-${n}`,
    cpuset_mems: `${n}`,
    hugepage_limits: [{ page_size: '2MB', limit: `${2 ** 22 + n}` }],
    unified: { 'memory.high': `${2 ** 27 + n}` },
    memory_swap_limit_in_bytes: `${2 ** 29 + n}`,
  };
}

/** The same as they come back. */
export const shownResources = (resources: LinuxContainerResources): unknown => JSON.parse(JSON.stringify(resources));

/** The same ranges, beginning with another id in the container. */
export const shifted = (mappings: readonly IDMapping[]): IDMapping[] =>
  mappings.map((mapping) => ({ ...mapping, container_id: 5 }));
