import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { isId, shortId } from '#base/ids';
import { killShimTree } from './pods.ts';
import { lookAtProcesses, type SeenProcess } from './processes.ts';
import type { Known, Stray } from './runtime.ts';
import { type RuntimeParts, shimCgroup } from './runtime-parts.ts';

/**
 * What lies around that no pod or container owns: processes below shims, pod directories, documents, shims, cgroups. Only
 * what is Berth's for sure is looked at: names that Berth gives (64 hex) below its own parents, ids that it gave below every
 * parent, and what descends from a shim.
 */
export async function strays(parts: RuntimeParts, ctx: Ctx, known: Known): Promise<readonly Stray[]> {
  const { directories, cgroups } = parts;
  const shims = (await cgroups.list(ctx, parts.shimCgroupParent)).filter((group) => isId(idOf(group)));
  const lost = new Set([...(await directories.list()), ...shims.map(idOf)].filter((id) => !known.isPod(id)));
  const groups = [...new Set(await strayGroups(parts, ctx, known))];
  // Who has lost a whole pod has to look for what was in it.
  const seen = known.processes || lost.size > 0 ? await processesOfNobody(parts, ctx, known, shims) : [];
  const elsewhere = seen.filter(({ group }) => !groups.some((each) => isIn(group, each)));
  const documents = await directories.strayDocuments(known);
  return [
    ...(await Promise.all(groups.map((group) => strayGroup(parts, ctx, group)))),
    ...[...Map.groupBy(elsewhere, ({ group }) => group)].map(([group, members]) => strayMembers(parts, group, members)),
    ...(await Promise.all([...lost].map((id) => strayPod(parts, ctx, id)))),
    ...documents.map(({ podId, id }): Stray => ({
      text: `document of container ${id} in ${directories.pathOf(podId)}`,
      end: () => directories.removeContainer(podId, id),
    })),
    ...parts.graveyard.list().map((text): Stray => ({ text })),
  ];
}

async function strayGroup(parts: RuntimeParts, ctx: Ctx, group: string): Promise<Stray> {
  const living = (await parts.cgroups.processes(ctx, group)).length > 0;
  const end = (own: Ctx): Promise<void> => endGroup(parts, own, group);
  return { text: `container cgroup ${group}`, ...(living && { living: idOf(group) }), end };
}

function strayMembers(parts: RuntimeParts, group: string, members: readonly SeenProcess[]): Stray {
  const podId = members[0]?.podId ?? '';
  const numbers = members.slice(0, 5).map(({ pid }) => pid);
  const text = `process ${numbers.join(', ')} of pod ${shortId(podId)} in cgroup ${group}, which no container has`;
  if (!canEnd(group)) return { text };
  return { text, living: podId, end: (own) => endGroup(parts, own, group) };
}

/** Shim and pause; what was in the pod are strays of their own. */
async function strayPod(parts: RuntimeParts, ctx: Ctx, id: string): Promise<Stray> {
  const living = (await parts.cgroups.processes(ctx, shimCgroup(parts, id))).length > 0;
  const end = (own: Ctx): Promise<void> => endPod(parts, own, id);
  return { text: `shim or directory of pod ${parts.directories.pathOf(id)}`, ...(living && { living: id }), end };
}

async function strayGroups(
  parts: RuntimeParts,
  ctx: Ctx,
  { isPod, isContainer, formerIds }: Known,
): Promise<readonly string[]> {
  const isKnown = (id: string): boolean => isContainer(id) || isPod(id) || parts.graveyard.has(id);
  const below = (await parts.cgroups.list(ctx, parts.defaultCgroupParent)).filter((group) => isId(idOf(group)));
  // Wherever the kubelet wanted them. The whole tree is large: it is walked only when there is something to look for.
  const former = new Set([...formerIds].filter((id) => !isKnown(id)));
  const everywhere = former.size === 0 ? [] : await parts.cgroups.list(ctx, '/');
  const elsewhere = everywhere.filter((group) => former.has(idOf(group)) && !isIn(group, parts.shimCgroupParent));
  return [...below, ...elsewhere].filter((group) => !isKnown(idOf(group)));
}

/** Descendants of shims in groups that belong to no container. */
async function processesOfNobody(
  parts: RuntimeParts,
  ctx: Ctx,
  { isContainer }: Known,
  shims: readonly string[],
): Promise<readonly SeenProcess[]> {
  const roots = new Map<number, string>();
  for (const leaf of shims) for (const pid of await parts.cgroups.processes(ctx, leaf)) roots.set(pid, idOf(leaf));
  if (roots.size === 0) return [];
  const found = await lookAtProcesses(parts.cgroups, roots);
  const owned = (part: string): boolean => isContainer(part) || parts.graveyard.has(part);
  return found.filter(({ group }) => !isIn(group, parts.shimCgroupParent) && !group.split('/').some(owned));
}

/** Not the root of all groups, nor one outside of what berthd can see. */
const canEnd = (group: string): boolean => group !== '/' && !group.startsWith('/..');

const idOf = (group: string): string => path.basename(group);

const isIn = (group: string, parent: string): boolean => group === parent || group.startsWith(`${parent}/`);

async function endGroup(parts: RuntimeParts, ctx: Ctx, group: string): Promise<void> {
  await parts.cgroups.kill(ctx, group);
  await parts.cgroups.remove(ctx, group);
}

async function endPod(parts: RuntimeParts, ctx: Ctx, podId: string): Promise<void> {
  parts.shims.get(podId)?.[Symbol.dispose]();
  parts.shims.delete(podId);
  await killShimTree(parts, ctx, podId);
  await parts.directories.remove(podId);
}

/** Removes the parents themselves, and the place of all pods, when nothing is below: a daemon leaves the machine for good. */
export async function removeParents(parts: RuntimeParts, ctx: Ctx): Promise<void> {
  for (const parent of [parts.shimCgroupParent, parts.defaultCgroupParent]) {
    const below = await parts.cgroups.list(ctx, parent);
    if (below.length === 0) await parts.cgroups.remove(ctx, parent);
  }
  await parts.directories.removeRoot();
}

/** The leaf of a shim must have its parent, and that one its own, before the shim makes it. */
export async function makeParents(parts: RuntimeParts): Promise<void> {
  const leaf = shimCgroup(parts, 'x');
  const root = parts.cgroups.handle(leaf).killDir.slice(0, -leaf.length);
  const names = leaf.split('/').slice(1, -1);
  const parents = names.map((_name, at) => `${root}/${names.slice(0, at + 1).join('/')}`);
  await parts.addon.batch(parents.map((dir) => ({ op: 'mkdir', path: dir, mode: 0o755, optional: ['EEXIST'] })));
}
