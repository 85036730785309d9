import type { Container } from '#cri-api/gen/runtime/v1/Container';
import type { ContainerState } from '#cri-api/gen/runtime/v1/ContainerState';
import type { ContainerStatus } from '#cri-api/gen/runtime/v1/ContainerStatus';
import type { Signal } from '#cri-api/gen/runtime/v1/Signal';
import type { ImageSpec } from '#cri-api/gen/runtime/v1/ImageSpec';
import type { ImageStore } from '#images/image-store';
import type { ContainerView } from '#sandbox/pod';
import { signalName } from '#sandbox/stop-signal';
import { toInt64 } from '../safe-int.ts';
import { sortedNames } from './image.ts';

const states = {
  creating: 'CONTAINER_UNKNOWN',
  created: 'CONTAINER_CREATED',
  running: 'CONTAINER_RUNNING',
  exited: 'CONTAINER_EXITED',
} as const satisfies Record<ContainerView['status']['state'], ContainerState>;

/** Who knows what images are called now. */
export type KnownImages = Pick<ImageStore, 'find'>;

/** A container in a list: its image as it was asked for, and that image's id twice, as everybody does it. */
export function toCriContainer({ id, podId, identity, made, status }: ContainerView): Container {
  const { config } = identity;
  return {
    id,
    pod_sandbox_id: podId,
    metadata: config.metadata,
    image: config.image,
    image_ref: made.imageId,
    state: states[status.state],
    created_at: toInt64(status.createdAtNs),
    labels: config.labels,
    annotations: config.annotations,
    image_id: made.imageId,
  } satisfies Container;
}

export function toCriContainerStatus(container: ContainerView, images: KnownImages): ContainerStatus {
  const { id, identity, made, status } = container;
  const { config } = identity;
  const { uid, gid, additionalGids } = made.user;
  const resources = status.resources ?? config.linux?.resources;
  return {
    id,
    metadata: config.metadata,
    state: states[status.state],
    created_at: toInt64(status.createdAtNs),
    started_at: toInt64(status.startedAtNs),
    finished_at: toInt64(status.finishedAtNs),
    exit_code: status.exitCode,
    ...imageNames(container, images),
    reason: status.reason,
    message: status.message,
    labels: config.labels,
    annotations: config.annotations,
    mounts: config.mounts,
    log_path: made.logPath,
    resources: resources ? { linux: resources } : null,
    image_id: made.imageId,
    user: { linux: { uid: toInt64(uid), gid: toInt64(gid), supplemental_groups: additionalGids.map(toInt64) } },
    stop_signal: signalName(made.stopSignal) as Signal,
  } satisfies ContainerStatus;
}

/**
 * What a pod's status shows: `image` is the name people know, `image_ref` says exactly which image. A container's image is
 * the one it was made from, whatever its tag means since. Without a tag it is called as it was asked for; one that no
 * registry has named, or that is not here any more, is told by its id.
 */
function imageNames(
  { identity, made }: ContainerView,
  images: KnownImages,
): { readonly image: ImageSpec | null; readonly image_ref: string } {
  const known = images.find(made.imageId);
  const [tag] = sortedNames(known?.repoTags ?? []);
  const [digest] = sortedNames(known?.repoDigests ?? []);
  return {
    image: tag === undefined ? identity.config.image : { image: tag },
    image_ref: digest ?? made.imageId,
  };
}
