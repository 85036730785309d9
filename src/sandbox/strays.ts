import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { errnoOf, toBerthError } from '#base/errors';
import { isId } from '#base/ids';
import type { HeldImage } from '#images/image-store';
import type { Known, Stray } from '#runtime/runtime';
import { silentShim, unreachableShim } from '#runtime/shim/shim-watch';
import { removeLayers } from './container-remove.ts';
import { lostOutputOf } from './lost-output.ts';
import { announceEnd, type SandboxParts } from './parts.ts';
import { insist, patiently } from './recovery-notes.ts';
import { type Documents, formerIds } from './sources.ts';
import { together } from './together.ts';

/** Named in one line; of more, the number. */
const mostIds = 10;

/**
 * Whatever is not as it should be, one line each: processes, cgroups, links, addresses, directories, layers that no record
 * owns; records that are not used as they are, or could not be written; shims that do not answer; what recovery ended or
 * could not do yet. Empty on a healthy node.
 */
export async function check(parts: SandboxParts, ctx: Ctx): Promise<readonly string[]> {
  // What only waits for its next attempt is no news.
  await parts.store.checkWritable(ctx).catch(() => undefined);
  const { podIds, networked, containerIds } = owners(parts);
  const layers = await strayIds(parts.containersDirectory, containerIds);
  const [runtime, silent, network, images, files] = await together([
    parts.runtime.strays(ctx, knownTo(parts, layers, true)),
    parts.runtime.silentShims(ctx),
    parts.network.strays(ctx, networked),
    parts.images.strays(ctx),
    strayIds(parts.podsDirectory, podIds),
  ]);
  return [
    ...unwritten(parts),
    ...runtime.map(({ text }) => text),
    ...network,
    ...images,
    ...layers.map((id) => `writable layer ${path.join(parts.containersDirectory, id)}`),
    ...files.map((id) => `pod files ${path.join(parts.podsDirectory, id)}`),
    ...silentPods(parts),
    ...parts.pods.allPods().flatMap((pod) => pod.listed.flatMap((container) => lostOutputOf(container) ?? [])),
    ...silent,
    ...(await tellable(parts)),
  ];
}

/** What stays until it is forgotten, and what only looks like that. */
async function tellable(parts: SandboxParts): Promise<readonly string[]> {
  const { store } = parts;
  return [
    ...parts.notes.list(),
    ...store.quarantined.map(({ key, reason }) => `unreadable record ${key}: ${reason}; ${fateOf(parts, key)}`),
    ...store.newer.map(({ key, reason }) => `record ${key}: ${reason}`),
    ...store.unknown.map((key) => `record ${key}: ${unknownKind}`),
    ...(await store.damages()),
  ];
}

/** What became of the thing itself, and what to do. */
function fateOf({ pods }: SandboxParts, key: string): string {
  const [kind = '', id = ''] = key.split('/');
  const forget = 'berth check --forget deletes the bad copy';
  if (kind !== 'pod' && kind !== 'container') return forget;
  const state = kind === 'pod' ? pods.pod(id)?.status.state : pods.container(id)?.status.state;
  if (state === undefined) return `nothing is left of this ${kind}; ${forget}`;
  return `the ${kind} was made again from its document and is ${state}; ${forget}`;
}

const unknownKind =
  'of a kind that this berthd does not know: its key is damaged, or a newer berthd wrote it; left as it is, ' +
  'berth check --forget deletes it';

/** The owner has seen it: what was set aside is deleted, what was ended is told no more. Gives the lines that are gone. */
export async function forget(parts: SandboxParts, ctx: Ctx): Promise<readonly string[]> {
  const before = await tellable(parts);
  parts.notes.forget();
  await parts.store.forget(ctx);
  const after = new Set(await tellable(parts));
  return before.filter((line) => !after.has(line));
}

function silentPods(parts: SandboxParts): readonly string[] {
  const silent = parts.pods.allPods().filter((pod) => pod.silent !== undefined);
  return silent.map(({ id, silentPid, unreachable }) =>
    unreachable ? unreachableShim(id, silentPid) : silentShim(id, silentPid, 'since berthd started'),
  );
}

/**
 * Recovery: ends what nobody owns, and then takes away what it used. Only while nothing is made: what is half-made looks like
 * a stray. Processes that do not go at once are ended later.
 */
export async function removeStrays(parts: SandboxParts, ctx: Ctx, documents: Documents): Promise<void> {
  const { podIds, networked, containerIds } = owners(parts);
  const layers = await strayIds(parts.containersDirectory, containerIds);
  const found = await parts.runtime.strays(ctx, knownTo(parts, layers, false));
  await patiently(parts, endAll(parts, found));
  await tellLost(parts, ctx, 'writable layers of containers', layers);
  const [freed, , files] = await together([
    parts.network.keepOnly(ctx, networked),
    parts.images.keepLeases(ctx, heldImages(parts, documents)),
    strayIds(parts.podsDirectory, podIds),
  ]);
  await tellLost(parts, ctx, 'files of pods', files);
  await together([
    ...layers.map((id) => removeLayers(parts, id)),
    ...files.map((id) => parts.files.removeTree(path.join(parts.podsDirectory, id))),
  ]);
  for (const stray of freed) ctx.log.warn({ stray }, 'removed what no record owned');
}

/** What has no record because the database was damaged; told before it goes. */
async function tellLost(parts: SandboxParts, ctx: Ctx, what: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const more = ids.length > mostIds ? ` and ${ids.length - mostIds} more` : '';
  await parts.store.noteLost(ctx, `${what} that no record knew any more: ${ids.slice(0, mostIds).join(', ')}${more}`);
}

/** Later, while others are served: processes below shims that no container has. */
export async function endStrays(parts: SandboxParts, ctx: Ctx): Promise<void> {
  await endAll(parts, await parts.runtime.strays(ctx, knownTo(parts, [], true)));
}

async function endAll(parts: SandboxParts, strays: readonly Stray[]): Promise<void> {
  await Promise.all(
    strays.map(async ({ text, living, end }) => {
      if (!end) return;
      await insist(parts, `end ${text}`, async (own) => {
        await end(own);
        own.log.warn({ stray: text }, 'removed what no record owned');
        if (living === undefined) return;
        parts.notes.ended(text);
        announceEnd(parts, living, undefined);
      });
    }),
  );
}

function unwritten({ store }: SandboxParts): readonly string[] {
  const { behind } = store;
  if (!behind) return [];
  const { records, inMemoryOnly, sinceMs, because } = behind;
  const lost = inMemoryOnly > 0 ? `, ${inMemoryOnly} of them in memory only` : '';
  return [
    `${records} records that could not be written for ${Math.round(sinceMs / 1000)} s${lost}: ${because}; make room there: until then nothing new is made, stops and removals go on`,
  ];
}

function owners(parts: SandboxParts): Record<'podIds' | 'networked' | 'containerIds', ReadonlySet<string>> {
  const pods = parts.pods.allPods();
  const { untouched } = parts.pods;
  // One that is being made has a network before its record says so.
  const networked = pods.filter((pod) => pod.status.network ?? !pod.visible).map((pod) => pod.id);
  return {
    podIds: new Set([...pods.map((pod) => pod.id), ...untouched.pods]),
    networked: new Set([...networked, ...untouched.pods]),
    containerIds: new Set([...parts.pods.allContainers().map(({ id }) => id), ...untouched.containers]),
  };
}

/** What was known before it is looked for, or is by then: things come and go meanwhile. */
function knownTo(parts: SandboxParts, layers: readonly string[], processes: boolean): Known {
  const before = owners(parts);
  return {
    isPod: (id) => before.podIds.has(id) || parts.pods.pod(id) !== undefined,
    isContainer: (id) => before.containerIds.has(id) || parts.pods.container(id) !== undefined,
    formerIds: formerIds(parts, layers),
    processes,
  };
}

/** What containers are made from, as far as it is known. */
export function heldImages(parts: SandboxParts, { containers }: Documents): ReadonlyMap<string, HeldImage> {
  const held = new Map<string, HeldImage>();
  for (const { id, made } of [...parts.pods.collections.containers.values(), ...parts.pods.allContainers()]) {
    held.set(id, { imageId: made.imageId, lowers: containers.get(id)?.lowers ?? [] });
  }
  return held;
}

async function strayIds(directory: string, owned: ReadonlySet<string>): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).filter((name) => isId(name) && !owned.has(name));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw toBerthError(error, `read ${directory}`);
  }
}
