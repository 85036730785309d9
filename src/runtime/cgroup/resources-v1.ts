import { BerthError } from '#base/errors';
import type { DeviceRule, LinuxResources } from '#runtime/spec/oci';

import { missingFile, said, type ResourceWrite, type WriteMode } from './resource-write.ts';

/** Limits as writes to the v1 control files, in the order in which the kernel takes them. */
export function writesV1(resources: LinuxResources, mode: WriteMode): readonly ResourceWrite[] {
  if (Object.keys(resources.unified ?? {}).length > 0) {
    throw new BerthError('INVALID_ARGUMENT', 'unified resources need cgroup v2, this node has v1');
  }
  return [
    ...deviceWrites(resources.devices ?? []),
    ...cpuWrites(resources, mode),
    ...cpusetWrites(resources),
    ...memoryWrites(resources, mode),
    ...pidsWrites(resources),
    ...hugetlbWrites(resources),
  ];
}

function cpuWrites(resources: LinuxResources, mode: WriteMode): ResourceWrite[] {
  const { cpuShares, cpuPeriod, cpuQuota } = resources;
  const writes: ResourceWrite[] = [];
  const cpu = (file: string, value: bigint): ResourceWrite => ({ controller: 'cpu', file, value: value.toString() });
  if (said(cpuShares)) writes.push(cpu('cpu.shares', cpuShares));
  if (said(cpuPeriod)) {
    const period = cpu('cpu.cfs_period_us', cpuPeriod);
    // The ratio must stay within the parent's after every single write. A shorter period first may exceed it, then the
    // new quota first does not.
    if (mode === 'update' && said(cpuQuota)) {
      writes.push({ ...period, attempt: ['EINVAL'] }, cpu('cpu.cfs_quota_us', cpuQuota));
    }
    writes.push(period);
  }
  if (said(cpuQuota)) writes.push(cpu('cpu.cfs_quota_us', cpuQuota));
  return writes;
}

function cpusetWrites({ cpusetCpus, cpusetMems }: LinuxResources): ResourceWrite[] {
  const writes: ResourceWrite[] = [];
  if (cpusetCpus) writes.push({ controller: 'cpuset', file: 'cpuset.cpus', value: cpusetCpus });
  if (cpusetMems) writes.push({ controller: 'cpuset', file: 'cpuset.mems', value: cpusetMems });
  return writes;
}

/**
 * The kernel keeps limit ≤ limit with swap after every write, so raising starts with the latter and lowering with the
 * former. Which it is nobody knows without reading; trying the limit first, tolerating its refusal, and writing it once
 * more at the end is right in both directions.
 */
function memoryWrites(resources: LinuxResources, mode: WriteMode): ResourceWrite[] {
  const { memoryLimit } = resources;
  const memorySwap = resources.memorySwap ?? (memoryLimit === -1n ? -1n : undefined);
  const writes: ResourceWrite[] = [];
  const limit: ResourceWrite | undefined = said(memoryLimit)
    ? { controller: 'memory', file: 'memory.limit_in_bytes', value: memoryLimit.toString() }
    : undefined;
  const swap: ResourceWrite | undefined = said(memorySwap)
    ? {
        controller: 'memory',
        file: 'memory.memsw.limit_in_bytes',
        value: memorySwap.toString(),
        tolerate: { errnos: missingFile, warning: 'the kernel does not account swap: no swap limit' },
      }
    : undefined;
  if (limit && swap && mode === 'update') writes.push({ ...limit, attempt: ['EINVAL'] }, swap, limit);
  else if (limit && swap) writes.push(limit, swap);
  else if (limit) writes.push(limit);
  else if (swap) writes.push(swap);
  return writes;
}

function pidsWrites({ pidsLimit }: LinuxResources): ResourceWrite[] {
  if (!said(pidsLimit)) return [];
  return [{ controller: 'pids', file: 'pids.max', value: pidsLimit < 0n ? 'max' : pidsLimit.toString() }];
}

function hugetlbWrites({ hugepageLimits = [] }: LinuxResources): ResourceWrite[] {
  return hugepageLimits.flatMap(({ pageSize, limit }) => [
    {
      controller: 'hugetlb',
      file: `hugetlb.${pageSize}.limit_in_bytes`,
      value: limit.toString(),
      tolerate: { errnos: missingFile, warning: `the kernel has no huge pages of ${pageSize}: no limit` },
    },
    // Reservations are counted apart since 5.7; before, the first file is all there is.
    {
      controller: 'hugetlb',
      file: `hugetlb.${pageSize}.rsvd.limit_in_bytes`,
      value: limit.toString(),
      attempt: missingFile,
    },
  ]);
}

function deviceWrites(rules: readonly DeviceRule[]): ResourceWrite[] {
  return rules.map((rule) => ({
    controller: 'devices',
    file: rule.allow ? 'devices.allow' : 'devices.deny',
    value: deviceLine(rule),
  }));
}

/** "c 1:3 rwm"; a rule for all devices is the one word that also forgets the rules before it. */
export function deviceLine(rule: DeviceRule): string {
  checkDeviceRule(rule);
  if (rule.type === 'a') return 'a';
  return `${rule.type} ${rule.major ?? '*'}:${rule.minor ?? '*'} ${rule.access}`;
}

export function checkDeviceRule(rule: DeviceRule): void {
  const whole = (value: number | undefined, bits: number): boolean =>
    value === undefined || (Number.isInteger(value) && value >= 0 && value < 2 ** bits);
  if (!/^[rwm]{1,3}$/.test(rule.access) || !whole(rule.major, 12) || !whole(rule.minor, 20)) {
    throw new BerthError('INVALID_ARGUMENT', `invalid device rule ${JSON.stringify(rule)}`);
  }
  if (rule.type === 'a' && (rule.major !== undefined || rule.minor !== undefined)) {
    throw new BerthError('INVALID_ARGUMENT', 'a device rule for all types cannot name numbers');
  }
}
