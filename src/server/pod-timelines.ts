import type { Container, Pod } from '#sandbox/pod';
import type { PodTimeline } from './admin-actions.ts';

/** Every pod with its containers and how long each step of their making took. From memory. */
export function podTimelines(pods: readonly Pod[]): readonly PodTimeline[] {
  return pods.map((pod) => {
    const { name, namespace } = pod.identity.config.metadata;
    return {
      id: pod.id,
      name,
      namespace,
      state: pod.status.state,
      steps: pod.timeline.entries,
      containers: pod.listed.map(containerTimeline),
    };
  });
}

function containerTimeline({ id, identity, status, timeline }: Container): PodTimeline['containers'][number] {
  return { id, name: identity.config.metadata.name, state: status.state, steps: timeline.entries };
}
