import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { errnoOf, isBerthError } from '#base/errors';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';
import type { LayerInput, LayerSource } from './layer-source.ts';
import type { BlobDescriptor, OnBytes, Registry, RemoteImage } from './registry/registry.ts';

export interface RemoteLayerOptions {
  readonly addon: Pick<Addon, 'pipe' | 'close'>;
  readonly registry: Registry;
  readonly image: RemoteImage;
  readonly blob: BlobDescriptor;
  readonly onDownload?: OnBytes;
}

/** A layer that comes through a pipe while it is read: what the reader does not take stops the download. */
export function remoteLayer(options: RemoteLayerOptions): LayerSource {
  const { digest, size } = options.blob;
  return { digest, size, read: (ctx, use) => readRemote(ctx, options, use) };
}

async function readRemote<T>(
  ctx: Ctx,
  { addon, registry, image, blob, onDownload }: RemoteLayerOptions,
  use: (ctx: Ctx, input: LayerInput) => Promise<T>,
): Promise<T> {
  const ends = addon.pipe();
  using sink = new Fd(ends.write, (fd) => addon.close(fd));
  using source = new Fd(ends.read, (fd) => addon.close(fd));
  using together = new Deadline(Infinity, `download ${blob.digest}`, ctx.signal);
  const inner = ctx.detach(together.signal);
  const used = use(inner, { fd: source.number, handedOver: () => source[Symbol.dispose]() });
  // A reader that failed, or did not start, waits for nothing more.
  used.catch((error: unknown) => together.abort(error));
  const fetched = registry.fetchBlob(inner, image, blob, new Fd(sink.take(), (fd) => addon.close(fd)), onDownload);
  // A failed download closes the pipe; its reader ends by itself and says "truncated", which is not the reason.
  const [reading, fetching] = await Promise.allSettled([used, fetched]);
  ctx.signal.throwIfAborted();
  if (fetching.status === 'rejected' && !isReadersFault(fetching.reason, together.signal)) throw fetching.reason;
  if (reading.status === 'rejected') throw reading.reason;
  if (fetching.status === 'rejected') throw fetching.reason;
  return reading.value;
}

/** Whether a download failed only because nobody reads any more. */
function isReadersFault(error: unknown, signal: AbortSignal): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (errnoOf(at) === 'EPIPE' || at === signal.reason || isBerthError(at, 'CANCELLED')) return true;
  }
  return false;
}
