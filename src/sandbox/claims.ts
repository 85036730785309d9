import { containerName, podName, type ContainerIdentity, type PodIdentity } from './identity.ts';
import type { SandboxParts } from './parts.ts';
import type { Container, Pod } from './pod.ts';

// A pod or container whose caller went away before it was made waits for its retry, and is undone when nobody comes. Any
// use of it (status, start, stop, remove, a container in it) shows that somebody knows it.

export const runPodKey = (identity: PodIdentity): string => `run pod ${podName(identity.config)}`;

export const createContainerKey = (podId: string, identity: ContainerIdentity): string =>
  `create container ${containerName(identity.config)} in pod ${podId}`;

export function claimPod(parts: SandboxParts, pod: Pod): void {
  parts.operations.claim(runPodKey(pod.identity));
}

export function claimContainer(parts: SandboxParts, container: Container): void {
  parts.operations.claim(createContainerKey(container.podId, container.identity));
}
