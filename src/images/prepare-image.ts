import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { BerthError } from '#base/errors';
import { Slots } from '#base/slots';
import { chainIds, digestOf, parseConfig } from './config.ts';
import type { UnknownImageFields } from './image-fields.ts';
import type { Layers, PinnedLayer } from './layers.ts';
import type { Reference } from './reference.ts';
import { repositoryOf, repoTagOf } from './reference.ts';
import type { ImageRow, LayerRow } from './rows.ts';
import type { SourceImage } from './source-image.ts';

/**
 * Layers under way at once, downloads included. From a near registry two, three and four take the same time on two
 * processors; the third is for a far one, whose single connections are slow.
 */
const atOnce = 3;

/** A pebibyte, packed: more is no honest image. */
const maxImageBytes = 2 ** 50;

/** An image whose layers are all on disk, held, and not yet visible to anybody. */
export interface PreparedImage {
  readonly row: Omit<ImageRow, 'createdAtNs'>;
  readonly pins: readonly PinnedLayer[];
  /** To be stored as the blobs that the row names. */
  readonly documents: readonly Uint8Array[];
  readonly unknownFields: UnknownImageFields;
}

export interface PrepareOptions {
  readonly layers: Layers;
  readonly names: readonly Reference[];
  /** Packed bytes of a layer that the unpacker has read. */
  readonly onProgress?: ((index: number, diffId: string, bytes: number) => void) | undefined;
  /** A layer is on disk. */
  readonly onLayer?: ((index: number, layer: PinnedLayer) => void) | undefined;
  /** Takes over the layers of an image that failed. Without it they go. */
  readonly keep?: ((pins: readonly PinnedLayer[], reason: unknown) => Promise<void>) | undefined;
}

/** @throws IMAGE_INVALID, RESOURCE_EXHAUSTED; then nothing of it is held */
export async function prepareImage(ctx: Ctx, image: SourceImage, options: PrepareOptions): Promise<PreparedImage> {
  const id = digestOf(image.config);
  const { config, diffIds, unknownFields } = parseConfig(image.config, id);
  if (diffIds.length !== image.layers.length) {
    const message = `image ${id} has ${image.layers.length} layers, its config ${diffIds.length}`;
    throw new BerthError('IMAGE_INVALID', message);
  }
  // Of a layer that is here already nobody counts the bytes, and a size that cannot be sent would break every list.
  const layerBytes = image.layers.reduce((sum, layer) => sum + layer.size, 0);
  if (layerBytes > maxImageBytes) {
    throw new BerthError('IMAGE_INVALID', `image ${id} calls itself larger than ${maxImageBytes} bytes`);
  }
  const pins = await ensureLayers(ctx, image, diffIds, options);
  const documents = [...image.manifests, image.config];
  const { manifestDigest } = image;
  const repositories = [...new Set(options.names.map(repositoryOf))];
  return {
    pins,
    documents,
    unknownFields: { ...image.unknownFields, config: unknownFields },
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
  image: SourceImage,
  diffIds: readonly string[],
  options: PrepareOptions,
): Promise<readonly PinnedLayer[]> {
  const chain = chainIds(diffIds);
  using together = new Deadline(Infinity, 'unpack the layers', ctx.signal);
  const inner = ctx.detach(together.signal);
  // Given in order: whoever has to wait for the layers below finds them begun.
  const slots = new Slots(atOnce);
  const tasks: Promise<PinnedLayer>[] = [];
  let firstFailure: unknown;
  for (const [index, source] of image.layers.entries()) {
    const diffId = diffIds[index] ?? '';
    const below = async (): Promise<readonly LayerRow[]> => {
      const pins = await Promise.all(tasks.slice(0, index));
      return pins.map((pin) => pin.row).reverse();
    };
    const run = async (): Promise<PinnedLayer> => {
      using _slot = await slots.acquire(together.signal);
      const onProgress = (bytes: number): void => options.onProgress?.(index, diffId, bytes);
      const wanted = { diffId, chainId: chain[index] ?? diffId, source, onProgress };
      const layer = await options.layers.ensure(inner, wanted, below);
      options.onLayer?.(index, layer);
      return layer;
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
  if (options.keep) await options.keep(pins, firstFailure);
  else for (const pin of pins) await pin.unpin();
  ctx.signal.throwIfAborted();
  throw firstFailure;
}
