import type { Ctx } from '#base/ctx';
import type { ArchiveFile } from './archive/files.ts';

/** The bytes of one layer as somebody packed them, wherever they are. */
export interface LayerSource {
  /** Of the packed bytes; a docker-archive does not tell. */
  readonly digest?: string;
  /** Packed. */
  readonly size: number;
  /**
   * Hands the bytes to `use`, once. What it opened is closed when this returns, and a failure of either side is the one
   * that came first.
   */
  read<T>(ctx: Ctx, use: (ctx: Ctx, input: LayerInput) => Promise<T>): Promise<T>;
}

export interface LayerInput {
  /** Only borrowed. */
  readonly fd: number;
  /** The part of a file; without it the fd is a stream that is read to its end. */
  readonly range?: { readonly offset: number; readonly length: number };
  /** To be called when the reader has the descriptor: from then on it alone keeps the stream open. */
  readonly handedOver: () => void;
}

export function archiveLayer(file: ArchiveFile, digest?: string): LayerSource {
  return {
    size: file.size,
    ...(digest !== undefined && { digest }),
    read: async (ctx, use) => {
      await using range = await file.open();
      return await use(ctx, { fd: range.fd, range, handedOver: () => undefined });
    },
  };
}
