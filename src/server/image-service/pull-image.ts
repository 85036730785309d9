import { BerthError } from '#base/errors';
import type { RegistryCredentials } from '#images/registry/registry';
import type { AuthConfig__Output } from '#cri-api/gen/runtime/v1/AuthConfig';
import type { PullImageRequest__Output } from '#cri-api/gen/runtime/v1/PullImageRequest';
import type { PullImageResponse } from '#cri-api/gen/runtime/v1/PullImageResponse';
import type { UnaryHandler } from '../handler.ts';
import type { ImageServiceDeps } from './deps.ts';
import { imageName } from './image-name.ts';

/**
 * Always asks the registry: whether an image that is here will do is the kubelet's decision. The answer is the image's
 * id, as in every other call that names it.
 */
export const pullImage: UnaryHandler<PullImageRequest__Output, PullImageResponse, ImageServiceDeps> = async (
  ctx,
  request,
  { images, runtimeHandlers },
) => {
  const reference = imageName(request.image);
  const handler = request.image?.runtime_handler ?? '';
  if (!runtimeHandlers.includes(handler)) {
    throw new BerthError('INVALID_ARGUMENT', `there is no runtime handler ${JSON.stringify(handler)}`);
  }
  const credentials = toCredentials(request.auth);
  const image = await images.pull(ctx, { reference, ...(credentials && { credentials }) });
  return { image_ref: image.id };
};

/** A message without a word in it brings no credentials. */
function toCredentials(auth: AuthConfig__Output | null): RegistryCredentials | undefined {
  if (auth === null) return undefined;
  const credentials: RegistryCredentials = {
    username: auth.username,
    password: auth.password,
    auth: auth.auth,
    serverAddress: auth.server_address,
    identityToken: auth.identity_token,
    registryToken: auth.registry_token,
  };
  return Object.values(credentials).every((value) => value === '') ? undefined : credentials;
}
