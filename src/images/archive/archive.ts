import type { Reference } from '../reference.ts';
import type { SourceImage } from '../source-image.ts';

/** One image of an archive. */
export interface ArchiveImage extends SourceImage {
  readonly names: readonly Reference[];
}
