import path from 'node:path';
import type { Ctx } from '#base/ctx';
import type { Collection, Store } from '#store/collection';
import type { Blobs } from './blobs.ts';
import type { ImageDirs } from './image-dirs.ts';
import { emptyLayer } from './image-dirs.ts';
import type { ImageRow, LayerRow } from './rows.ts';

/** What lies on disk that no row owns. */
export interface Strays {
  readonly layers: readonly string[];
  readonly blobs: readonly string[];
  readonly scratch: readonly string[];
}

/** What rows own. */
export interface Owned {
  readonly layers: ReadonlySet<string>;
  readonly blobs: ReadonlySet<string>;
}

/** Rows that cannot be true any more are moved aside: a layer without its directory, an image without its layer. */
export async function recoverRows(
  ctx: Ctx,
  state: {
    readonly store: Store;
    readonly images: Collection<ImageRow>;
    readonly layers: Collection<LayerRow>;
    readonly names: ReadonlySet<string>;
  },
): Promise<void> {
  const { store, images, layers, names } = state;
  for (const row of layers.values()) {
    if (!names.has(row.name)) await store.quarantine(ctx, layers, row.key, `its directory ${row.name} is gone`);
  }
  for (const row of images.values()) {
    const missing = row.layers.find((key) => layers.get(key) === undefined);
    if (missing !== undefined) await store.quarantine(ctx, images, row.id, `its layer ${missing} is gone`);
  }
}

export async function findStrays(ctx: Ctx, dirs: ImageDirs, blobs: Blobs, owned: Owned): Promise<Strays> {
  return {
    layers: (await dirs.layerNames()).filter((name) => name !== emptyLayer && !owned.layers.has(name)),
    blobs: (await blobs.list(ctx)).filter((digest) => !owned.blobs.has(digest) && !blobs.isHeld(digest)),
    scratch: await dirs.foreignScratch(),
  };
}

export function strayPaths(dirs: ImageDirs, strays: Strays): readonly string[] {
  return [
    ...strays.layers.map((name) => dirs.layer(name)),
    ...strays.blobs.map((digest) => dirs.blob(digest)),
    ...strays.scratch.map((name) => path.join(dirs.tmp, name)),
  ];
}

/** Where the database was damaged, what nobody owns is most likely an image that is lost. Its name was in the row alone. */
export async function tellLost(ctx: Ctx, store: Store, { layers, blobs }: Strays): Promise<void> {
  if (layers.length + blobs.length === 0) return;
  const what = `${layers.length} unpacked layers and ${blobs.length} manifests and configs of images`;
  await store.noteLost(ctx, `${what} that no record knew any more (removed: pull or load the images again)`);
}

/** Removes trees that an earlier process left. What cannot be removed is logged and stays a stray. */
export async function removeTrees(ctx: Ctx, dirs: ImageDirs, strays: Strays): Promise<void> {
  for (const name of strays.layers) {
    await attempt(ctx, dirs.layer(name), () => dirs.removeLayer(name));
  }
  for (const name of strays.scratch) {
    await attempt(ctx, path.join(dirs.tmp, name), () => dirs.removeScratch(name));
  }
}

async function attempt(ctx: Ctx, file: string, remove: () => Promise<void>): Promise<void> {
  try {
    await remove();
    ctx.log.info({ path: file }, 'removed what no image owns');
  } catch (error) {
    ctx.log.warn({ path: file, err: error }, 'could not remove what no image owns');
  }
}
