import type { ContainerEventResponse } from '#cri-api/gen/runtime/v1/ContainerEventResponse';
import type { ContainerEvent } from '#sandbox/events';
import { toInt64 } from '../safe-int.ts';
import { type KnownImages, toCriContainerStatus } from './container.ts';
import { toCriPodStatus } from './pod.ts';

const types = {
  created: 'CONTAINER_CREATED_EVENT',
  started: 'CONTAINER_STARTED_EVENT',
  stopped: 'CONTAINER_STOPPED_EVENT',
  deleted: 'CONTAINER_DELETED_EVENT',
} as const;

export function toCriEvent(event: ContainerEvent, images: KnownImages): ContainerEventResponse {
  return {
    container_id: event.id,
    container_event_type: types[event.type],
    created_at: toInt64(event.createdAtNs),
    pod_sandbox_status: event.pod ? toCriPodStatus(event.pod) : null,
    containers_statuses: event.containers.map((container) => toCriContainerStatus(container, images)),
  } satisfies ContainerEventResponse;
}
