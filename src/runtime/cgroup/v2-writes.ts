import { BerthError } from '#base/errors';
import type { LinuxResources } from '#runtime/spec/oci';
import { checkPageSize, type ControllerWrite } from './v1-writes.ts';

/** Limits as cgroup v2 files. */
export function v2Writes(resources: LinuxResources): readonly ControllerWrite[] {
  const writes: ControllerWrite[] = [];
  const set = (controller: string, file: string, data: string | undefined, tolerateMissing = false): void => {
    if (data !== undefined && data !== '') writes.push({ controller, file, data, tolerateMissing });
  };
  if (resources.cpuShares !== undefined && resources.cpuShares > 0n) {
    set('cpu', 'cpu.weight', String(cpuWeight(resources.cpuShares)));
  }
  set('cpu', 'cpu.max', cpuMax(resources));
  set('cpuset', 'cpuset.cpus', resources.cpusetCpus);
  set('cpuset', 'cpuset.mems', resources.cpusetMems);
  set('memory', 'memory.max', limitText(resources.memoryLimit));
  set('memory', 'memory.swap.max', swapMax(resources), true);
  if (resources.pidsLimit !== undefined) {
    set('pids', 'pids.max', resources.pidsLimit > 0n ? String(resources.pidsLimit) : 'max');
  }
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    set('hugetlb', `hugetlb.${checkPageSize(pageSize)}.max`, String(limit), limit === 0n);
  }
  // Last, because who names a file directly means it.
  for (const [file, value] of Object.entries(resources.unified ?? {})) {
    set(file.split('.')[0] ?? '', checkUnifiedKey(file), value);
  }
  return writes;
}

/**
 * v1 shares (2 to 262144, 1024 is usual) as v2 weight (1 to 10000, 100 is usual). The quadratic curve that runc 1.3 and
 * crun 1.23 agreed on: it goes through (2, 1), (1024, 100) and (262144, 10000), while the older straight line gave a
 * container with the usual shares a weight of 39.
 */
export function cpuWeight(shares: bigint): bigint {
  if (shares <= 2n) return 1n;
  if (shares >= 262_144n) return 10_000n;
  const l = Math.log2(Number(shares));
  return BigInt(Math.ceil(10 ** ((l * l + 125 * l) / 612 - 7 / 34)));
}

function cpuMax(resources: LinuxResources): string | undefined {
  if (resources.cpuQuota === undefined && resources.cpuPeriod === undefined) return undefined;
  const quota = resources.cpuQuota !== undefined && resources.cpuQuota > 0n ? String(resources.cpuQuota) : 'max';
  return `${quota} ${resources.cpuPeriod ?? 100_000n}`;
}

function limitText(limit: bigint | undefined): string | undefined {
  if (limit === undefined) return undefined;
  return limit < 0n ? 'max' : String(limit);
}

/** v2 counts swap alone, OCI memory and swap together. */
function swapMax({ memoryLimit, memorySwap }: LinuxResources): string | undefined {
  if (memorySwap === undefined) return undefined;
  if (memorySwap < 0n) return 'max';
  if (memoryLimit === undefined || memoryLimit < 0n || memorySwap < memoryLimit) {
    throw new BerthError('INVALID_ARGUMENT', `swap limit ${memorySwap} needs a memory limit that is not greater`);
  }
  return String(memorySwap - memoryLimit);
}

function checkUnifiedKey(file: string): string {
  if (!/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(file) || file.startsWith('cgroup.')) {
    throw new BerthError('INVALID_ARGUMENT', `unified cgroup setting ${file.slice(0, 64)} is not a controller's file`);
  }
  return file;
}
