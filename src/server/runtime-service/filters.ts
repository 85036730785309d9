import { isBerthError } from '#base/errors';
import type { ContainerFilter__Output } from '#cri-api/gen/runtime/v1/ContainerFilter';
import type { ContainerStatsFilter__Output } from '#cri-api/gen/runtime/v1/ContainerStatsFilter';
import type { PodSandboxFilter__Output } from '#cri-api/gen/runtime/v1/PodSandboxFilter';
import type { PodSandboxStatsFilter__Output } from '#cri-api/gen/runtime/v1/PodSandboxStatsFilter';
import type { Container, Pod } from '#sandbox/pod';
import type { Sandboxes } from '#sandbox/sandboxes';
import { toCriContainer } from '../to-cri/container.ts';
import { toCriPod } from '../to-cri/pod.ts';

/** The pods for which every condition of the filter holds. */
export function filterPods(sandboxes: Sandboxes, filter: PodSandboxFilter__Output | null): readonly Pod[] {
  if (!filter) return sandboxes.listPods();
  const pods = filter.id === '' ? sandboxes.listPods() : one(() => sandboxes.findPod(filter.id));
  // As of containers: a state that nobody here knows is none that a pod is in.
  const state = filter.state?.state;
  return pods.filter(
    (pod) =>
      (state === undefined || toCriPod(pod).state === state) &&
      hasLabels(pod.identity.config.labels, filter.label_selector),
  );
}

/** The containers for which every condition of the filter holds. */
export function filterContainers(sandboxes: Sandboxes, filter: ContainerFilter__Output | null): readonly Container[] {
  if (!filter) return sandboxes.listContainers();
  const podId = filter.pod_sandbox_id;
  const pod = podId === '' ? undefined : one(() => sandboxes.findPod(podId))[0];
  if (podId !== '' && !pod) return [];
  const containers = filter.id === '' ? sandboxes.listContainers() : one(() => sandboxes.findContainer(filter.id));
  const state = filter.state?.state;
  return containers.filter(
    (container) =>
      (!pod || container.podId === pod.id) &&
      (state === undefined || toCriContainer(container).state === state) &&
      hasLabels(container.identity.config.labels, filter.label_selector),
  );
}

/** The running containers for which every condition of the filter holds: only they use anything. */
export function filterRunning(sandboxes: Sandboxes, filter: ContainerStatsFilter__Output | null): readonly Container[] {
  const containers = filterContainers(sandboxes, filter ? { ...filter, state: null } : null);
  return containers.filter(({ status }) => status.state === 'running');
}

/** The ready pods for which every condition of the filter holds. */
export function filterReady(sandboxes: Sandboxes, filter: PodSandboxStatsFilter__Output | null): readonly Pod[] {
  const pods = filterPods(sandboxes, filter ? { ...filter, state: null } : null);
  return pods.filter(({ status }) => status.state === 'ready');
}

/** A list never fails for an id: an ambiguous prefix names nobody. */
function one<T>(find: () => T | undefined): readonly T[] {
  try {
    const found = find();
    return found === undefined ? [] : [found];
  } catch (error) {
    if (isBerthError(error, 'INVALID_ARGUMENT')) return [];
    throw error;
  }
}

function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => Object.hasOwn(labels, name) && labels[name] === value);
}
