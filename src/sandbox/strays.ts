import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { errnoOf, toBerthError } from '#base/errors';
import { isId } from '#base/ids';
import { removeLayers } from './container-remove.ts';
import type { SandboxParts } from './parts.ts';
import { together } from './together.ts';

/**
 * Whatever lies on the machine that no record owns, one line each: processes, cgroups, links, addresses, directories,
 * layers, records that could not be read or written. Empty on a healthy node.
 */
export async function check(parts: SandboxParts, ctx: Ctx): Promise<readonly string[]> {
  // What only waits for its next attempt is no news.
  await parts.store.checkWritable(ctx).catch(() => undefined);
  const { podIds, networked, containerIds } = owners(parts);
  const [runtime, network, images, layers, files] = await together([
    parts.runtime.strays(ctx, podIds, containerIds),
    parts.network.strays(ctx, networked),
    parts.images.strays(ctx),
    strayIds(parts.containersDirectory, containerIds),
    strayIds(parts.podsDirectory, podIds),
  ]);
  return [
    ...unwritten(parts),
    ...runtime,
    ...network,
    ...images,
    ...layers.map((id) => `writable layer ${path.join(parts.containersDirectory, id)}`),
    ...files.map((id) => `pod files ${path.join(parts.podsDirectory, id)}`),
    ...parts.store.quarantined.map(({ key, reason }) => `unreadable record ${key}: ${reason}`),
  ];
}

/** Recovery: ends and removes them. Only while nothing is made: what is half-made looks like a stray. */
export async function removeStrays(parts: SandboxParts, ctx: Ctx): Promise<void> {
  const { podIds, networked, containerIds } = owners(parts);
  const [found, freed, , layers, files] = await together([
    parts.runtime.strays(ctx, podIds, containerIds, { remove: true }),
    parts.network.keepOnly(ctx, networked),
    parts.images.keepLeases(ctx, containerIds),
    strayIds(parts.containersDirectory, containerIds),
    strayIds(parts.podsDirectory, podIds),
  ]);
  await together([
    ...layers.map((id) => removeLayers(parts, id)),
    ...files.map((id) => parts.files.removeTree(path.join(parts.podsDirectory, id))),
  ]);
  for (const stray of [...found, ...freed]) ctx.log.warn({ stray }, 'removed what no record owned');
}

function unwritten({ store }: SandboxParts): readonly string[] {
  const { behind } = store;
  if (!behind) return [];
  const { records, inMemoryOnly, sinceMs, because } = behind;
  const lost = inMemoryOnly > 0 ? `, ${inMemoryOnly} of them in memory only` : '';
  return [`${records} records that could not be written for ${Math.round(sinceMs / 1000)} s${lost}: ${because}`];
}

function owners(parts: SandboxParts): Record<'podIds' | 'networked' | 'containerIds', ReadonlySet<string>> {
  const pods = parts.pods.allPods();
  return {
    podIds: new Set(pods.map((pod) => pod.id)),
    // One that is being made has a network before its record says so.
    networked: new Set(pods.filter((pod) => pod.status.network ?? !pod.visible).map((pod) => pod.id)),
    containerIds: new Set(parts.pods.allContainers().map((container) => container.id)),
  };
}

async function strayIds(directory: string, owned: ReadonlySet<string>): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).filter((name) => isId(name) && !owned.has(name));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw toBerthError(error, `read ${directory}`);
  }
}
