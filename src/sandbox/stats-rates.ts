import type { CgroupStats } from '#runtime/cgroup/stats';

interface Earlier {
  readonly atNs: bigint;
  readonly group?: CgroupStats;
  readonly nanoCores?: bigint;
}

const second = 1_000_000_000n;
/** Closer samples say nothing: the kernel counts in ticks. */
const leastApartNs = second / 10n;
/** For one seen for the first time this soon after its start, its whole life is "lately". */
const youngNs = 60n * second;

/**
 * Nanoseconds of processor time a second: between the sample before and this one, or since the start of one that is
 * young. Undefined when it cannot be told, and when the counter went backwards.
 */
export function nanoCores(
  before: Earlier | undefined,
  now: { readonly atNs: bigint; readonly group?: CgroupStats },
  startedAtNs: bigint,
): bigint | undefined {
  const usage = now.group?.cpu?.usageNs;
  if (usage === undefined) return undefined;
  const earlier = before?.group?.cpu?.usageNs;
  if (before && earlier !== undefined) {
    const apart = now.atNs - before.atNs;
    if (apart < leastApartNs) return before.nanoCores;
    return usage < earlier ? undefined : ((usage - earlier) * second) / apart;
  }
  const age = now.atNs - startedAtNs;
  return age >= leastApartNs && age <= youngNs ? (usage * second) / age : undefined;
}
