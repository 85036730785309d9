import type { PullImageRequest__Output } from '#cri-api/gen/runtime/v1/PullImageRequest';
import type { PullImageResponse } from '#cri-api/gen/runtime/v1/PullImageResponse';
import type { UnaryHandler } from '../handler.ts';
import { unimplementedError } from '../unimplemented.ts';
import type { ImageServiceDeps } from './deps.ts';
import { imageName } from './image-name.ts';

/**
 * Berth does not speak to registries yet. An image that was loaded under this name is answered, since that is all the
 * caller wants to know; for any other the answer says how to load one.
 */
export const pullImage: UnaryHandler<PullImageRequest__Output, PullImageResponse, ImageServiceDeps> = (
  _ctx,
  request,
  { images },
) => {
  const image = images.find(imageName(request.image));
  if (image === undefined) throw unimplementedError('PullImage');
  return { image_ref: image.id };
};
