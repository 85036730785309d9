import { BerthError } from '#base/errors';
import type { LinuxResources } from '#runtime/spec/oci';

import { missingFile, said, type ResourceWrite } from './resource-write.ts';

/** Limits as writes to the v2 control files. Device rules are a program (device-program.ts). */
export function writesV2(resources: LinuxResources): readonly ResourceWrite[] {
  return [
    ...cpuWrites(resources),
    ...cpusetWrites(resources),
    ...memoryWrites(resources),
    ...pidsWrites(resources),
    ...hugetlbWrites(resources),
    ...unifiedWrites(resources.unified ?? {}),
  ];
}

/**
 * cpu.shares (2…262144, default 1024) as cpu.weight (1…10000, default 100), by the quadratic curve through those three
 * points that runc and crun use since 2025. The older linear one turned the default 1024 into 39, so that a pod without
 * requests counted far less against processes outside of Kubernetes than it does on v1.
 */
export function weightFromShares(shares: bigint): number {
  const l = Math.log2(Number(shares < 2n ? 2n : shares > 262_144n ? 262_144n : shares));
  const exact = 10 ** ((l * l + 125 * l) / 612 - 7 / 34);
  // Rounded up, but not over the noise of the floating point: 1024 is exactly 100.
  return Math.min(10_000, Math.max(1, Math.ceil(exact - 1e-6)));
}

function cpuWrites({ cpuShares, cpuQuota, cpuPeriod }: LinuxResources): ResourceWrite[] {
  const writes: ResourceWrite[] = [];
  if (said(cpuShares)) {
    writes.push({ controller: 'cpu', file: 'cpu.weight', value: weightFromShares(cpuShares).toString() });
  }
  if (said(cpuQuota) || said(cpuPeriod)) {
    const quota = said(cpuQuota) && cpuQuota > 0n ? cpuQuota.toString() : 'max';
    // Without a period the file keeps its own.
    const value = said(cpuPeriod) ? `${quota} ${cpuPeriod.toString()}` : quota;
    writes.push({ controller: 'cpu', file: 'cpu.max', value });
  }
  return writes;
}

function cpusetWrites({ cpusetCpus, cpusetMems }: LinuxResources): ResourceWrite[] {
  const writes: ResourceWrite[] = [];
  if (cpusetCpus) writes.push({ controller: 'cpuset', file: 'cpuset.cpus', value: cpusetCpus });
  if (cpusetMems) writes.push({ controller: 'cpuset', file: 'cpuset.mems', value: cpusetMems });
  return writes;
}

function memoryWrites(resources: LinuxResources): ResourceWrite[] {
  const { memoryLimit } = resources;
  const writes: ResourceWrite[] = [];
  if (said(memoryLimit)) writes.push({ controller: 'memory', file: 'memory.max', value: limitWord(memoryLimit) });
  const swap = swapOf(resources);
  if (swap !== undefined) {
    writes.push({
      controller: 'memory',
      file: 'memory.swap.max',
      value: limitWord(swap),
      tolerate: { errnos: missingFile, warning: 'the kernel does not account swap: no swap limit' },
    });
  }
  return writes;
}

/** v2 limits swap alone, the OCI specification memory and swap together. */
function swapOf({ memoryLimit, memorySwap }: LinuxResources): bigint | undefined {
  if (!said(memorySwap)) return memoryLimit === -1n ? -1n : undefined;
  if (memorySwap < 0n) return -1n;
  if (!said(memoryLimit) || memoryLimit < 0n) {
    throw new BerthError('INVALID_ARGUMENT', 'invalid resources: memorySwap needs a memoryLimit on cgroup v2');
  }
  return memorySwap - memoryLimit;
}

function pidsWrites({ pidsLimit }: LinuxResources): ResourceWrite[] {
  return said(pidsLimit) ? [{ controller: 'pids', file: 'pids.max', value: limitWord(pidsLimit) }] : [];
}

function hugetlbWrites({ hugepageLimits = [] }: LinuxResources): ResourceWrite[] {
  return hugepageLimits.flatMap(({ pageSize, limit }) => [
    {
      controller: 'hugetlb',
      file: `hugetlb.${pageSize}.max`,
      value: limit.toString(),
      tolerate: { errnos: missingFile, warning: `the kernel has no huge pages of ${pageSize}: no limit` },
    },
    { controller: 'hugetlb', file: `hugetlb.${pageSize}.rsvd.max`, value: limit.toString(), attempt: missingFile },
  ]);
}

/** Files by name, last, so that they win. Only limits: nothing that moves processes or changes the tree. */
function unifiedWrites(unified: Readonly<Record<string, string>>): ResourceWrite[] {
  return Object.entries(unified).flatMap(([file, value]) => {
    if (!/^[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+$/.test(file) || file.startsWith('cgroup.')) {
      throw new BerthError('INVALID_ARGUMENT', `unified resource ${JSON.stringify(file)} is no limit of cgroup v2`);
    }
    const controller = file.slice(0, file.indexOf('.'));
    // The kernel reads one line a write.
    return value.split('\n').flatMap((line) => (line === '' ? [] : [{ controller, file, value: line }]));
  });
}

function limitWord(value: bigint): string {
  return value < 0n ? 'max' : value.toString();
}
