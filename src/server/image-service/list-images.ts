import type { Image, ImageStore } from '#images/image-store';
import type { ImageFilter__Output } from '#cri-api/gen/runtime/v1/ImageFilter';
import type { ListImagesRequest__Output } from '#cri-api/gen/runtime/v1/ListImagesRequest';
import type { ListImagesResponse } from '#cri-api/gen/runtime/v1/ListImagesResponse';
import type { UnaryHandler } from '../handler.ts';
import { toCriImage } from '../to-cri/image.ts';
import type { ImageServiceDeps } from './deps.ts';

export const listImages: UnaryHandler<ListImagesRequest__Output, ListImagesResponse, ImageServiceDeps> = (
  _ctx,
  request,
  { images },
) => ({ images: filterImages(images, request.filter).map(toCriImage) });

/** The images a filter names: all, or the one of that id, tag or digest. */
export function filterImages(images: ImageStore, filter: ImageFilter__Output | null): readonly Image[] {
  const name = filter?.image?.image ?? '';
  if (name === '') return images.list();
  const found = images.find(name);
  return found === undefined ? [] : [found];
}
