import { BerthError } from '#base/errors';
import type { LinuxResources } from '#runtime/spec/oci';

/** One value for one control file of a group; made by the pure translations, written by the drivers. */
export interface ResourceWrite {
  /** Its controller, for picking the v1 hierarchy and for knowing whether the kernel has it. */
  readonly controller: string;
  readonly file: string;
  readonly value: string;
  /** The errnos that mean "this kernel cannot", which is tolerated and reported as this sentence. */
  readonly tolerate?: { readonly errnos: readonly string[]; readonly warning: string };
  /** A first try whose failure with one of these errnos says nothing: a later write of the same file counts. */
  readonly attempt?: readonly string[];
}

/** Whether the group is new: some orders only matter when old limits are there. */
export type WriteMode = 'create' | 'update';

const cpuListPattern = /^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$/;
const pageSizePattern = /^[0-9]{1,6}[KMG]B$/;

/** Throws INVALID_ARGUMENT for values that no kernel takes or that could name other files. */
export function checkResources(resources: LinuxResources): void {
  for (const key of ['cpusetCpus', 'cpusetMems'] as const) {
    const list = resources[key];
    if (list !== undefined && list !== '' && !cpuListPattern.test(list)) refuse(`${key} ${JSON.stringify(list)}`);
  }
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    if (!pageSizePattern.test(pageSize)) refuse(`huge page size ${JSON.stringify(pageSize)}`);
    if (limit < 0n) refuse(`huge page limit ${limit.toString()}`);
  }
  for (const key of ['memoryLimit', 'memorySwap', 'cpuQuota'] as const) {
    const value = resources[key];
    if (value !== undefined && value < -1n) refuse(`${key} ${value.toString()}`);
  }
  for (const key of ['cpuShares', 'cpuPeriod'] as const) {
    const value = resources[key];
    if (value !== undefined && value < 0n) refuse(`${key} ${value.toString()}`);
  }
  const { memoryLimit, memorySwap } = resources;
  if (memoryLimit !== undefined && memorySwap !== undefined && memorySwap >= 0n && memoryLimit > memorySwap) {
    refuse(`memorySwap ${memorySwap.toString()} below memoryLimit ${memoryLimit.toString()}`);
  }
}

function refuse(what: string): never {
  throw new BerthError('INVALID_ARGUMENT', `invalid resources: ${what}`);
}

/** Zero means "not said" in the CRI's resources. */
export function said(value: bigint | undefined): value is bigint {
  return value !== undefined && value !== 0n;
}

export const missingFile: readonly string[] = ['ENOENT', 'EOPNOTSUPP'];
