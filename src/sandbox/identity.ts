import type { ContainerConfig__Output } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { ContainerMetadata__Output } from '#cri-api/gen/runtime/v1/ContainerMetadata';
import type { PodSandboxConfig__Output } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import type { PodSandboxMetadata__Output } from '#cri-api/gen/runtime/v1/PodSandboxMetadata';
import { BerthError } from '#base/errors';

/** What the caller said about a pod; never changes. */
export interface PodIdentity {
  readonly config: PodConfig;
  readonly runtimeHandler: string;
}

export type PodConfig = PodSandboxConfig__Output & { readonly metadata: PodSandboxMetadata__Output };

/** What the caller said about a container; never changes. */
export interface ContainerIdentity {
  readonly podId: string;
  readonly config: ContainerSettings;
}

export type ContainerSettings = ContainerConfig__Output & { readonly metadata: ContainerMetadata__Output };

/** The protobuf bytes of an identity, as they are stored (env values exact), and back. Only `server` can do it. */
export interface IdentityCodec {
  encodePod(identity: PodIdentity): Buffer;
  decodePod(bytes: Buffer): PodIdentity;
  encodeContainer(identity: ContainerIdentity): Buffer;
  decodeContainer(bytes: Buffer): ContainerIdentity;
}

/** A pod's name: unique among all pods. */
export function podName({ metadata }: PodConfig): string {
  return [metadata.namespace, metadata.name, metadata.uid, metadata.attempt].join('/');
}

/** A container's name: unique within its pod. */
export function containerName({ metadata }: ContainerSettings): string {
  return `${metadata.name}/${metadata.attempt}`;
}

/** @throws INVALID_ARGUMENT when the config has no name */
export function checkedPodConfig(config: PodSandboxConfig__Output | null): PodConfig {
  const metadata = config?.metadata;
  if (!config || !metadata) throw new BerthError('INVALID_ARGUMENT', 'the pod config has no metadata');
  if (metadata.name === '') throw new BerthError('INVALID_ARGUMENT', 'the pod config names no pod: set metadata.name');
  return { ...config, metadata };
}

/** @throws INVALID_ARGUMENT when the config has no name */
export function checkedContainerConfig(config: ContainerConfig__Output | null): ContainerSettings {
  const metadata = config?.metadata;
  if (!config || !metadata || metadata.name === '') {
    throw new BerthError('INVALID_ARGUMENT', 'the container config names no container: set metadata.name');
  }
  // A bytes field is a view of the whole request, which would live as long as the container.
  const envs = config.envs.map(({ key, value }) => ({ key, value: Buffer.from(value) }));
  return { ...config, metadata, envs };
}
