import type { UnknownImageFields } from './image-fields.ts';
import type { LayerSource } from './layer-source.ts';

/** An image as an archive or a registry has it: documents read and their digests checked, layers still untouched. */
export interface SourceImage {
  readonly config: Uint8Array;
  /** Index and manifest that lead to it, outermost first; empty for a docker-archive. */
  readonly manifests: readonly Uint8Array[];
  /** What a registry calls it: the digest of the outermost of those. */
  readonly manifestDigest?: string;
  /** Bottom first, as many as the config has diffIDs. */
  readonly layers: readonly LayerSource[];
  /** Of those of `manifests`; the config is read with the image. */
  readonly unknownFields: Omit<UnknownImageFields, 'config'>;
}
