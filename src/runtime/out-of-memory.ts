import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { BerthError, isBerthError } from '#base/errors';
import type { Addon } from '#linux/addon';
import type { CgroupHandle } from './cgroup/cgroups.ts';

/**
 * Throws the failure of a setup again, with its reason where that is a memory limit: the container's own, its pod's, or
 * one above, since the kernel counts a kill where the victim was. The words are runc's, for whoever searches for them.
 */
export async function throwWhy(
  ctx: Ctx,
  addon: Pick<Addon, 'batch'>,
  id: string,
  { oomFile }: Pick<CgroupHandle, 'oomFile'>,
  error: unknown,
): Promise<never> {
  const wasKilled = isBerthError(error, 'KERNEL') && error.details['errno'] === 'EPIPE';
  if (!wasKilled || oomFile === '') throw error;
  ctx.signal.throwIfAborted();
  const groups = groupsAbove(path.dirname(oomFile));
  const [counters, ...limits] = await addon.batch(
    [oomFile, ...groups.flatMap((group) => limitFiles.map((name) => path.join(group, name)))].map((file) => ({
      ...{ op: 'read', path: file, limit: 4096, optional: true },
    })),
  );
  if (!/^oom_kill [1-9]/m.test(counters?.data ?? '')) throw error;
  const found = lowest(
    groups,
    limits.map((outcome) => outcome.data ?? ''),
  );
  const limit =
    found === undefined ? 'there is none, the machine has no more' : `${found.bytes} bytes at ${found.group}`;
  throw new BerthError(
    'RESOURCE_EXHAUSTED',
    `create container ${id}: container init was OOM-killed (memory limit too low?): ${limit}`,
    { cause: error },
  );
}

/** Of v1 and v2; a group has one of them. */
const limitFiles = ['memory.limit_in_bytes', 'memory.max'];
/** What v1 says where there is no limit: the largest number of pages. */
const unlimited = 2n ** 60n;

/** The group and those above it, the machine's among them; nothing above has such files. */
function groupsAbove(group: string): readonly string[] {
  const above = path.dirname(group);
  return above === group ? [] : [group, ...groupsAbove(above)];
}

function lowest(
  groups: readonly string[],
  texts: readonly string[],
): { readonly bytes: bigint; readonly group: string } | undefined {
  const found = texts.flatMap((text, at) => {
    const bytes = /^[0-9]+$/.test(text.trim()) ? BigInt(text.trim()) : unlimited;
    return bytes < unlimited ? [{ bytes, group: groups[Math.floor(at / limitFiles.length)] ?? '' }] : [];
  });
  return found.reduce<(typeof found)[number] | undefined>(
    (low, one) => (low && low.bytes <= one.bytes ? low : one),
    undefined,
  );
}
