import type { Image as StoredImage } from '#images/image-store';
import type { Image } from '#cri-api/gen/runtime/v1/Image';
import { toInt64 } from '../safe-int.ts';

export function toCriImage(image: StoredImage): Image {
  return {
    id: image.id,
    repo_tags: sortedNames(image.repoTags),
    repo_digests: sortedNames(image.repoDigests),
    // The kubelet refuses an image without a size.
    size: toInt64(Math.max(1, image.size)),
    ...toUser(image.config.user),
    pinned: image.pinned,
  } satisfies Image;
}

/** Names in an order that does not depend on what was pulled first: of several, callers take the first. */
export const sortedNames = (names: readonly string[]): string[] => [...names].sort();

/** `USER` of an image is `name`, `uid`, `name:group` or `uid:gid`; nothing at all means root. */
function toUser(user: string): Pick<Image, 'uid' | 'username'> {
  const [name = ''] = user.split(':', 1);
  if (name === '') return { uid: { value: '0' }, username: '' };
  // More digits than a user id can have are a strange name, not a number.
  if (/^\d{1,10}$/.test(name)) return { uid: { value: BigInt(name).toString() }, username: '' };
  return { uid: null, username: name };
}
