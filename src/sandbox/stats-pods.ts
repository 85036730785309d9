import type { CgroupStats } from '#runtime/cgroup/stats';
import type { Pod } from './pod.ts';

/**
 * Control groups that are one pod's alone, by pod: the kubelet makes one for each. A parent that several pods name (as
 * crictl's do) says nothing about any of them.
 */
export function ownGroups(pods: readonly Pod[]): Map<string, string> {
  const byParent = Map.groupBy(pods, (pod) => pod.identity.config.linux?.cgroup_parent ?? '');
  const alone = [...byParent].flatMap(([parent, sharers]) => {
    const [pod] = sharers;
    return pod && parent !== '' && parent !== '/' && sharers.length === 1 ? [[pod.id, parent] as const] : [];
  });
  return new Map(alone);
}

export function hasOwnNetwork(pod: Pod): boolean {
  return (pod.identity.config.linux?.security_context?.namespace_options?.network ?? 'POD') === 'POD';
}

/** What containers use together. @param endedCpuNs of containers that have gone, so that the sum never falls */
export function sumOf(groups: readonly CgroupStats[], endedCpuNs: bigint): CgroupStats {
  let cpu = endedCpuNs;
  let pids = 0n;
  const memory = { usage: 0n, workingSet: 0n, rss: 0n, pageFaults: 0n, majorPageFaults: 0n };
  for (const group of groups) {
    cpu += group.cpu?.usageNs ?? 0n;
    pids += group.pids?.current ?? 0n;
    for (const key of Object.keys(memory) as (keyof typeof memory)[]) memory[key] += group.memory?.[key] ?? 0n;
  }
  return { cpu: { usageNs: cpu }, memory, pids: { current: pids } };
}
