import path from 'node:path';
import type { Addon, FileOperation, FileResult } from '#linux/addon';
import { type LimitWrite } from './change-limits.ts';
import { failure, firstFailure } from './tree.ts';

// A new group of the cpuset controller has neither processors nor memory nodes, and takes no process until it has. The
// kernel can copy those of the group above by itself (cgroup.clone_children), but that is a switch of the group above, which
// may be the machine's own: so they are written into the new one, as runc does.

const files = ['cpuset.cpus', 'cpuset.mems'] as const;

/** Reads what a group has, and what the one above it has. */
export function cpusetReads(mountpoint: string, group: string): FileOperation[] {
  return [group, path.dirname(group)].flatMap((directory) =>
    files.map((file): FileOperation => ({
      ...{ op: 'read', path: path.join(mountpoint, directory, file), limit: 64 * 1024, optional: true },
    })),
  );
}

/**
 * What the group takes over from the one above it, given what `cpusetReads` found. A group above that has nothing itself
 * was made on the way to a pod by somebody who left it so: it is filled first, from the top.
 */
export async function inheritedCpuset(
  addon: Pick<Addon, 'batch'>,
  mountpoint: string,
  group: string,
  found: readonly FileResult[],
): Promise<LimitWrite[]> {
  const parent = path.dirname(group);
  const isEmptyAbove = missingIn(found).some(({ above }) => above === '');
  if (!isEmptyAbove || parent === '/') return writesOf(mountpoint, group, found);
  await fillCpuset(addon, mountpoint, parent);
  return writesOf(mountpoint, group, await addon.batch(cpusetReads(mountpoint, group)));
}

/** Files in which the group has nothing, and what the group above has there. */
function missingIn(found: readonly FileResult[]): readonly { readonly file: string; readonly above: string }[] {
  const [ownCpus, ownMems, cpus = '', mems = ''] = found.map(({ data }) => data?.trim());
  return [
    { file: files[0], own: ownCpus, above: cpus },
    { file: files[1], own: ownMems, above: mems },
  ].filter(({ own }) => own === '');
}

function writesOf(mountpoint: string, group: string, found: readonly FileResult[]): LimitWrite[] {
  return missingIn(found).flatMap(({ file, above }) =>
    above === '' ? [] : [{ op: 'write', path: path.join(mountpoint, group, file), data: above }],
  );
}

/** Gives a group what it has nothing of. */
export async function fillCpuset(addon: Pick<Addon, 'batch'>, mountpoint: string, group: string): Promise<void> {
  const found = await addon.batch(cpusetReads(mountpoint, group));
  const writes = await inheritedCpuset(addon, mountpoint, group, found);
  const failed = firstFailure(writes, await addon.batch(writes));
  if (failed) throw failure(failed.operation, failed.error);
}
