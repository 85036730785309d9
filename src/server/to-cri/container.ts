import type { Container } from '#cri-api/gen/runtime/v1/Container';
import type { ContainerState } from '#cri-api/gen/runtime/v1/ContainerState';
import type { ContainerStatus } from '#cri-api/gen/runtime/v1/ContainerStatus';
import type { Signal } from '#cri-api/gen/runtime/v1/Signal';
import type { ContainerView } from '#sandbox/pod';
import { signalName } from '#sandbox/stop-signal';
import { toInt64 } from '../safe-int.ts';

const states = {
  creating: 'CONTAINER_UNKNOWN',
  created: 'CONTAINER_CREATED',
  running: 'CONTAINER_RUNNING',
  exited: 'CONTAINER_EXITED',
} as const satisfies Record<ContainerView['status']['state'], ContainerState>;

/** A container in a list. */
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

export function toCriContainerStatus({ id, identity, made, status }: ContainerView): ContainerStatus {
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
    image: config.image,
    image_ref: made.imageId,
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
