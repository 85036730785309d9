import type { Image, ImageDetails } from '#images/image-store';
import type { ImageStatusRequest__Output } from '#cri-api/gen/runtime/v1/ImageStatusRequest';
import type { ImageStatusResponse } from '#cri-api/gen/runtime/v1/ImageStatusResponse';
import type { UnaryHandler } from '../handler.ts';
import { toCriImage } from '../to-cri/image.ts';
import type { ImageServiceDeps } from './deps.ts';
import { imageName } from './image-name.ts';

/** An image that is not there is an answer without an image, not an error. */
export const imageStatus: UnaryHandler<ImageStatusRequest__Output, ImageStatusResponse, ImageServiceDeps> = async (
  ctx,
  request,
  { images },
) => {
  const image = images.find(imageName(request.image));
  if (image === undefined) return { image: null };
  if (!request.verbose) return { image: toCriImage(image), info: {} };
  return { image: toCriImage(image), info: { info: toInfo(image, await images.inspect(ctx, image.id)) } };
};

/** In the words of `crictl inspecti`; imageSpec is the image's config as its author wrote it. */
function toInfo({ createdAtNs, pinned }: Image, { chainId, configJson }: ImageDetails): string {
  return JSON.stringify({
    loadedAt: new Date(Number(createdAtNs / 1_000_000n)).toISOString(),
    pinned,
    chainID: chainId,
    imageSpec: JSON.parse(configJson) as unknown,
  });
}
