import type { StreamImagesRequest__Output } from '#cri-api/gen/runtime/v1/StreamImagesRequest';
import type { StreamImagesResponse } from '#cri-api/gen/runtime/v1/StreamImagesResponse';
import { chunks } from '../chunks.ts';
import type { StreamHandler } from '../handler.ts';
import { toCriImage } from '../to-cri/image.ts';
import type { ImageServiceDeps } from './deps.ts';
import { filterImages } from './list-images.ts';

export const streamImages: StreamHandler<StreamImagesRequest__Output, StreamImagesResponse, ImageServiceDeps> = (
  _ctx,
  request,
  { images },
) => chunks(filterImages(images, request.filter), toCriImage, (some) => ({ images: some }));
