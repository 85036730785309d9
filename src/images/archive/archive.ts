import type { Reference } from '../reference.ts';
import type { ArchiveFile } from './files.ts';

/** One image of an archive, its documents read and their digests checked; its layers still untouched. */
export interface ArchiveImage {
  readonly config: Uint8Array;
  /** Manifest and indexes that lead to it; empty for a docker-archive. */
  readonly manifests: readonly Uint8Array[];
  /** What a registry would call it: the digest of the outermost of those. */
  readonly manifestDigest?: string;
  readonly names: readonly Reference[];
  /** Bottom first, as many as the config has diffIDs. */
  readonly layers: readonly ArchiveLayer[];
}

export interface ArchiveLayer {
  readonly file: ArchiveFile;
  /** Of the bytes as they lie there; a docker-archive does not tell. */
  readonly digest?: string;
}
