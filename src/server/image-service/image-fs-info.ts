import type { FilesystemUsage } from '#cri-api/gen/runtime/v1/FilesystemUsage';
import type { ImageFsInfoRequest__Output } from '#cri-api/gen/runtime/v1/ImageFsInfoRequest';
import type { ImageFsInfoResponse } from '#cri-api/gen/runtime/v1/ImageFsInfoResponse';
import type { UnaryHandler } from '../handler.ts';
import { toInt64 } from '../safe-int.ts';
import type { ImageServiceDeps } from './deps.ts';

/**
 * Images and the containers' writable layers share one file system: both lists name it, so that the kubelet does not
 * take the node for one with a disk of its own for images. Each has the bytes of its own.
 */
export const imageFsInfo: UnaryHandler<ImageFsInfoRequest__Output, ImageFsInfoResponse, ImageServiceDeps> = (
  _ctx,
  _request,
  { images, writableLayers, clock },
) => {
  const { mountpoint, ...ofImages } = images.usage();
  const row = ({ bytes, inodes }: { bytes: bigint | number; inodes: bigint | number }): FilesystemUsage => ({
    timestamp: toInt64(clock.nowNs()),
    fs_id: { mountpoint },
    used_bytes: { value: toInt64(bytes) },
    inodes_used: { value: toInt64(inodes) },
  });
  return { image_filesystems: [row(ofImages)], container_filesystems: [row(writableLayers())] };
};
