import { BerthError } from '#base/errors';
import type { DeviceRule, LinuxResources } from '#runtime/spec/oci';

/** One file of a controller and what goes into it. */
export interface ControllerWrite {
  readonly controller: string;
  readonly file: string;
  readonly data: string;
  /** A kernel without this file is tolerated. */
  readonly tolerateMissing?: boolean;
}

/**
 * Limits as cgroup v1 files, in the order in which a fresh group takes them: period before quota, memory before memory
 * with swap.
 */
export function v1Writes(resources: LinuxResources): readonly ControllerWrite[] {
  if (resources.unified && Object.keys(resources.unified).length > 0) {
    throw new BerthError('INVALID_ARGUMENT', 'unified cgroup settings need cgroup v2; this node has v1');
  }
  const writes: ControllerWrite[] = [];
  const set = (controller: string, file: string, value: bigint | string | undefined, tolerateMissing = false): void => {
    if (value !== undefined && value !== '') writes.push({ controller, file, data: String(value), tolerateMissing });
  };
  set('cpu', 'cpu.shares', resources.cpuShares);
  set('cpu', 'cpu.cfs_period_us', resources.cpuPeriod, true);
  set('cpu', 'cpu.cfs_quota_us', resources.cpuQuota, true);
  set('cpuset', 'cpuset.cpus', resources.cpusetCpus);
  set('cpuset', 'cpuset.mems', resources.cpusetMems);
  set('memory', 'memory.limit_in_bytes', resources.memoryLimit);
  // Without swap accounting in the kernel the file does not exist, and there is nothing to limit.
  set('memory', 'memory.memsw.limit_in_bytes', resources.memorySwap, true);
  if (resources.pidsLimit !== undefined) {
    set('pids', 'pids.max', resources.pidsLimit > 0n ? resources.pidsLimit : 'max');
  }
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    set('hugetlb', `hugetlb.${checkPageSize(pageSize)}.limit_in_bytes`, limit, limit === 0n);
  }
  for (const rule of resources.devices ?? []) {
    set('devices', rule.allow ? 'devices.allow' : 'devices.deny', deviceLine(rule));
  }
  return writes;
}

/** "2MB", "1GB": it becomes part of a file name. Who asks for pages of a size that is not there must hear of it; no pages of it is what he gets. */
export function checkPageSize(pageSize: string): string {
  if (!/^[0-9]+[KMG]B$/.test(pageSize)) {
    throw new BerthError('INVALID_ARGUMENT', `huge page size ${pageSize.slice(0, 32)} is not of the form 2MB`);
  }
  return pageSize;
}

function deviceLine(rule: DeviceRule): string {
  const number = (value: number | undefined): string => (value === undefined ? '*' : String(value));
  return rule.type === 'a' ? 'a' : `${rule.type} ${number(rule.major)}:${number(rule.minor)} ${rule.access}`;
}
