import type { FilesystemUsage } from '#cri-api/gen/runtime/v1/FilesystemUsage';
import type { ImageFsInfoRequest__Output } from '#cri-api/gen/runtime/v1/ImageFsInfoRequest';
import type { ImageFsInfoResponse } from '#cri-api/gen/runtime/v1/ImageFsInfoResponse';
import type { UnaryHandler } from '../handler.ts';
import { toInt64 } from '../safe-int.ts';
import type { ImageServiceDeps } from './deps.ts';

/**
 * Images and the containers' writable layers share one file system: both lists name it, so that the kubelet does not
 * take the node for one with a disk of its own for images.
 */
export const imageFsInfo: UnaryHandler<ImageFsInfoRequest__Output, ImageFsInfoResponse, ImageServiceDeps> = (
  _ctx,
  _request,
  { images, clock },
) => {
  const usage = images.usage();
  const row = {
    timestamp: toInt64(clock.nowNs()),
    fs_id: { mountpoint: usage.mountpoint },
    used_bytes: { value: toInt64(usage.bytes) },
    inodes_used: { value: toInt64(usage.inodes) },
  } satisfies FilesystemUsage;
  return { image_filesystems: [row], container_filesystems: [row] };
};
