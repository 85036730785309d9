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

type Resources = LinuxContainerResources__Output;

/** What each number may be, 0 apart: the kernel itself says only EINVAL, of a file that the caller has not named. */
const ranges = [
  ['cpu_period', (value) => value >= 1000n && value <= 1_000_000n, 'from 1000 to 1000000 (microseconds)'],
  ['cpu_quota', (value) => value < 0n || value >= 1000n, 'at least 1000 (microseconds), or -1 for no limit'],
  ['cpu_shares', (value) => value > 0n, 'at least 1'],
  ['memory_limit_in_bytes', (value) => value >= -1n, 'bytes, or -1 for no limit'],
  ['memory_swap_limit_in_bytes', (value) => value >= -1n, 'bytes of memory and swap together, or -1 for no limit'],
] as const satisfies readonly (readonly [keyof Resources, (value: bigint) => boolean, string])[];

const listOfNumbers = /^\d+(-\d+(:\d+\/\d+)?)?(,\d+(-\d+(:\d+\/\d+)?)?)*$/;

/** @throws INVALID_ARGUMENT naming the field and its range */
function checkRanges(resources: Resources): void {
  for (const [field, possible, range] of ranges) {
    const value = BigInt(resources[field]);
    if (value !== 0n && !possible(value)) {
      throw new BerthError('INVALID_ARGUMENT', `${field} ${value}: expected ${range}; 0 for not set`);
    }
  }
  for (const field of ['cpuset_cpus', 'cpuset_mems'] as const) {
    const text = resources[field];
    if (text === '' || listOfNumbers.test(text.trim())) continue;
    throw new BerthError(
      'INVALID_ARGUMENT',
      `${field} ${JSON.stringify(text.slice(0, 80))}: expected numbers and ranges with commas between, such as "0-3,7"`,
    );
  }
}

/** A container's limits in the words of the OCI specification. @throws INVALID_ARGUMENT */
export function containerResources(resources: Resources | null): LinuxResources {
  if (!resources) return {};
  checkRanges(resources);
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
