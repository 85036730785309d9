import { BerthError } from '#base/errors';
import type { LinuxContainerResources__Output } from '#cri-api/gen/runtime/v1/LinuxContainerResources';
import type { LinuxResources } from '#runtime/spec/oci';

/** A CRI int64 field in which 0 means "not set". */
const unlessZero = (text: string): bigint | undefined => {
  const value = BigInt(text);
  return value === 0n ? undefined : value;
};

const present = <K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } =>
  value === undefined ? {} : ({ [key]: value } as { [P in K]?: V });

/** A container's limits in the words of the OCI specification. */
export function containerResources(resources: LinuxContainerResources__Output | null): LinuxResources {
  if (!resources) return {};
  const memoryLimit = unlessZero(resources.memory_limit_in_bytes);
  // No word about swap and a memory limit: no swap beyond it, as the field does (KEP-2400, NoSwap).
  const memorySwap = unlessZero(resources.memory_swap_limit_in_bytes) ?? memoryLimit;
  return {
    ...present('cpuShares', unlessZero(resources.cpu_shares)),
    ...present('cpuQuota', unlessZero(resources.cpu_quota)),
    ...present('cpuPeriod', unlessZero(resources.cpu_period)),
    ...present('cpusetCpus', resources.cpuset_cpus === '' ? undefined : resources.cpuset_cpus),
    ...present('cpusetMems', resources.cpuset_mems === '' ? undefined : resources.cpuset_mems),
    ...present('memoryLimit', memoryLimit),
    ...present('memorySwap', memorySwap),
    hugepageLimits: resources.hugepage_limits.map(({ page_size, limit }) => ({
      pageSize: page_size,
      limit: BigInt(limit),
    })),
    unified: resources.unified,
  };
}

/** Between -1000 and 1000; whether the kernel lets us lower it is another matter. */
export function oomScoreAdj(resources: LinuxContainerResources__Output | null): number {
  const value = Number(resources?.oom_score_adj ?? '0');
  if (!Number.isInteger(value) || value < -1000 || value > 1000) {
    throw new BerthError('INVALID_ARGUMENT', `oom_score_adj ${value} is not between -1000 and 1000`);
  }
  return value;
}
