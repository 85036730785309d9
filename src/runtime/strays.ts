import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { isId } from '#base/ids';
import { killShimTree } from './pods.ts';
import { type RuntimeParts, shimCgroup } from './runtime-parts.ts';

/**
 * What lies around that no pod or container of the store owns: pod directories, shims, cgroups. `remove` ends them.
 * Only names that Berth gives (64 hex below its own parents) are looked at.
 */
export async function strays(
  parts: RuntimeParts,
  ctx: Ctx,
  podIds: ReadonlySet<string>,
  containerIds: ReadonlySet<string>,
  remove: boolean,
): Promise<readonly string[]> {
  const found: string[] = [];
  const directories = (await parts.directories.list()).filter((id) => !podIds.has(id));
  const shimLeaves = (await parts.cgroups.list(ctx, parts.shimCgroupParent)).filter(
    (group) => !podIds.has(idOf(group)),
  );
  const groups = (await parts.cgroups.list(ctx, parts.defaultCgroupParent)).filter(
    (group) =>
      isId(idOf(group)) &&
      !containerIds.has(idOf(group)) &&
      !podIds.has(idOf(group)) &&
      !parts.graveyard.has(idOf(group)),
  );
  const strayPods = new Set([...directories, ...shimLeaves.map(idOf).filter(isId)]);
  found.push(...directories.map((id) => `pod directory ${parts.directories.pathOf(id)}`));
  found.push(...shimLeaves.filter((group) => isId(idOf(group))).map((group) => `shim cgroup ${group}`));
  found.push(...groups.map((group) => `container cgroup ${group}`), ...parts.graveyard.list());
  if (!remove) return found;

  for (const id of strayPods) {
    parts.shims.get(id)?.[Symbol.dispose]();
    parts.shims.delete(id);
    await killShimTree(parts, ctx, id);
    await parts.directories.remove(id);
  }
  for (const group of groups) {
    await parts.cgroups.kill(ctx, group);
    await parts.cgroups.remove(ctx, group);
  }
  return found;
}

const idOf = (group: string): string => path.basename(group);

/** Removes the parents themselves when nothing is below them: for a daemon that leaves the machine for good. */
export async function removeParents(parts: RuntimeParts, ctx: Ctx): Promise<void> {
  for (const parent of [parts.shimCgroupParent, parts.defaultCgroupParent]) {
    const below = await parts.cgroups.list(ctx, parent);
    if (below.length === 0) await parts.cgroups.remove(ctx, parent);
  }
}

/** The leaf of a shim must have its parent, and that one its own, before the shim makes it. */
export async function makeParents(parts: RuntimeParts): Promise<void> {
  const leaf = shimCgroup(parts, 'x');
  const root = parts.cgroups.handle(leaf).killDir.slice(0, -leaf.length);
  const names = leaf.split('/').slice(1, -1);
  const parents = names.map((_name, at) => `${root}/${names.slice(0, at + 1).join('/')}`);
  await parts.addon.batch(parents.map((dir) => ({ op: 'mkdir', path: dir, mode: 0o755, optional: ['EEXIST'] })));
}
