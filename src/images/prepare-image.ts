import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { ArchiveImage } from './archive/archive.ts';
import { chainIds, digestOf, parseConfig } from './config.ts';
import type { LoadProgress } from './image-store.ts';
import type { Layers, PinnedLayer } from './layers.ts';
import type { Reference } from './reference.ts';
import { repositoryOf, repoTagOf } from './reference.ts';
import type { ImageRow, LayerRow } from './rows.ts';

/** Layers unpacked at once: writing files is the limit, and two keep two processors busy. */
const atOnce = 2;

/** An image whose layers are all on disk, held, and not yet visible to anybody. */
export interface PreparedImage {
  readonly row: Omit<ImageRow, 'createdAtNs'>;
  readonly pins: readonly PinnedLayer[];
  /** To be stored as the blobs that the row names. */
  readonly documents: readonly Uint8Array[];
}

/** @throws IMAGE_INVALID, RESOURCE_EXHAUSTED; then nothing of it is held */
export async function prepareImage(
  ctx: Ctx,
  image: ArchiveImage,
  options: {
    readonly layers: Layers;
    readonly names: readonly Reference[];
    readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  },
): Promise<PreparedImage> {
  const id = digestOf(image.config);
  const { config, diffIds } = parseConfig(image.config, id);
  if (diffIds.length !== image.layers.length) {
    const message = `image ${id} has ${image.layers.length} layers, its config ${diffIds.length}`;
    throw new BerthError('IMAGE_INVALID', message);
  }
  const pins = await ensureLayers(ctx, image, diffIds, options);
  const documents = [...image.manifests, image.config];
  const { manifestDigest } = image;
  const repositories = [...new Set(options.names.map(repositoryOf))];
  const layerBytes = image.layers.reduce((sum, layer) => sum + layer.file.size, 0);
  return {
    pins,
    documents,
    row: {
      id,
      repoTags: options.names.map(repoTagOf).filter((tag) => tag !== undefined),
      repoDigests: manifestDigest === undefined ? [] : repositories.map((name) => `${name}@${manifestDigest}`),
      size: layerBytes + image.config.length,
      config,
      layers: pins.map((pin) => pin.row.key),
      blobs: documents.map(digestOf),
      blobBytes: documents.reduce((sum, document) => sum + document.length, 0),
    },
  };
}

/** Bottom first. One failure stops the others, and its reason is what the caller sees. */
async function ensureLayers(
  ctx: Ctx,
  image: ArchiveImage,
  diffIds: readonly string[],
  options: { readonly layers: Layers; readonly onProgress?: ((progress: LoadProgress) => void) | undefined },
): Promise<readonly PinnedLayer[]> {
  const chain = chainIds(diffIds);
  using together = new Deadline(Infinity, 'unpack the layers', ctx.signal);
  const inner = ctx.detach(together.signal);
  const tasks: Promise<PinnedLayer>[] = [];
  let firstFailure: unknown;
  for (const [index, source] of image.layers.entries()) {
    const diffId = diffIds[index] ?? '';
    const below = async (): Promise<readonly LayerRow[]> => {
      const pins = await Promise.all(tasks.slice(0, index));
      return pins.map((pin) => pin.row).reverse();
    };
    // The layer `atOnce` places down goes first; with it everything below has at least begun.
    const before = index < atOnce ? undefined : tasks[index - atOnce];
    const run = async (): Promise<PinnedLayer> => {
      await before;
      const total = source.file.size;
      const onProgress = (bytes: number): void => options.onProgress?.({ layer: diffId, bytes, total });
      return await options.layers.ensure(inner, { diffId, chainId: chain[index] ?? diffId, source, onProgress }, below);
    };
    const task = run();
    task.catch((error: unknown) => {
      firstFailure ??= error;
      together.abort(error);
    });
    tasks.push(task);
  }
  const settled = await Promise.allSettled(tasks);
  const pins = settled.filter((result) => result.status === 'fulfilled').map((result) => result.value);
  if (pins.length === tasks.length) return pins;
  for (const pin of pins) await pin.unpin();
  ctx.signal.throwIfAborted();
  throw firstFailure;
}
