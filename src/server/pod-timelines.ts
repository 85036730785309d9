import type { Container, Pod } from '#sandbox/pod';
import type { PodTimeline } from './admin-actions.ts';

/**
 * Every pod with its containers, why they ended and how long each step of their making took.
 *
 * @param silent a line for each connected shim that does not answer, which names its pod
 */
export function podTimelines(pods: readonly Pod[], silent: readonly string[]): readonly PodTimeline[] {
  return pods.map((pod) => {
    const { name, namespace } = pod.identity.config.metadata;
    return {
      id: pod.id,
      name,
      namespace,
      state: pod.status.state,
      reason: pod.status.reason,
      silent: pod.silent !== undefined || silent.some((line) => line.includes(pod.id)),
      steps: pod.timeline.entries,
      containers: pod.listed.map(containerTimeline),
    };
  });
}

function containerTimeline({ id, identity, status, timeline }: Container): PodTimeline['containers'][number] {
  const { state, reason, exitCode } = status;
  return { id, name: identity.config.metadata.name, state, reason, exitCode, steps: timeline.entries };
}
