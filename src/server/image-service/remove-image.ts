import type { RemoveImageRequest__Output } from '#cri-api/gen/runtime/v1/RemoveImageRequest';
import type { RemoveImageResponse } from '#cri-api/gen/runtime/v1/RemoveImageResponse';
import type { UnaryHandler } from '../handler.ts';
import type { ImageServiceDeps } from './deps.ts';
import { imageName } from './image-name.ts';

export const removeImage: UnaryHandler<RemoveImageRequest__Output, RemoveImageResponse, ImageServiceDeps> = async (
  ctx,
  request,
  { images },
) => {
  await images.remove(ctx, imageName(request.image));
  return {};
};
