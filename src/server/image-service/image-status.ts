import type { Image } from '#images/image-store';
import type { ImageStatusRequest__Output } from '#cri-api/gen/runtime/v1/ImageStatusRequest';
import type { ImageStatusResponse } from '#cri-api/gen/runtime/v1/ImageStatusResponse';
import type { UnaryHandler } from '../handler.ts';
import { toCriImage } from '../to-cri/image.ts';
import type { ImageServiceDeps } from './deps.ts';
import { imageName } from './image-name.ts';

/** An image that is not there is an answer without an image, not an error. */
export const imageStatus: UnaryHandler<ImageStatusRequest__Output, ImageStatusResponse, ImageServiceDeps> = (
  _ctx,
  request,
  { images },
) => {
  const image = images.find(imageName(request.image));
  if (image === undefined) return { image: null };
  return { image: toCriImage(image), info: request.verbose ? { info: toInfo(image) } : {} };
};

/** The image's own config in the words of the OCI image specification. */
function toInfo({ config, createdAtNs }: Image): string {
  return JSON.stringify({
    loadedAt: new Date(Number(createdAtNs / 1_000_000n)).toISOString(),
    imageSpec: {
      architecture: config.architecture,
      os: config.os,
      config: {
        User: config.user,
        Env: config.env,
        Entrypoint: config.entrypoint,
        Cmd: config.cmd,
        WorkingDir: config.workingDir,
        Volumes: Object.fromEntries(config.volumes.map((volume) => [volume, {}])),
        Labels: config.labels,
        StopSignal: config.stopSignal,
      },
    },
  });
}
