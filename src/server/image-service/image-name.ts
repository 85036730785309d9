import { BerthError } from '#base/errors';
import type { ImageSpec__Output } from '#cri-api/gen/runtime/v1/ImageSpec';

/** The reference a request names. Throws INVALID_ARGUMENT when there is none. */
export function imageName(spec: ImageSpec__Output | null): string {
  const name = spec?.image ?? '';
  if (name === '') throw new BerthError('INVALID_ARGUMENT', 'the request names no image');
  return name;
}
