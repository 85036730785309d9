import type { ImageServiceHandlers } from '#cri-api/gen/runtime/v1/ImageService';
import type { ServiceTable } from '../handler.ts';
import type { ImageServiceDeps } from './deps.ts';
import { imageFsInfo } from './image-fs-info.ts';
import { imageStatus } from './image-status.ts';
import { listImages } from './list-images.ts';
import { pullImage } from './pull-image.ts';
import { removeImage } from './remove-image.ts';
import { streamImages } from './stream-images.ts';

/** Every call of the image service. */
export const imageService = {
  ListImages: listImages,
  StreamImages: streamImages,
  ImageStatus: imageStatus,
  PullImage: pullImage,
  RemoveImage: removeImage,
  ImageFsInfo: imageFsInfo,
} satisfies ServiceTable<ImageServiceHandlers, ImageServiceDeps>;
