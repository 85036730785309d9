import type { ImageServiceHandlers } from '#cri-api/gen/runtime/v1/ImageService';
import type { RuntimeServiceHandlers } from '#cri-api/gen/runtime/v1/RuntimeService';
import type { CallNames } from './handler.ts';

/** The calls of both services. */
export type CriCall = CallNames<ImageServiceHandlers> | CallNames<RuntimeServiceHandlers>;

/** What the wrapper has to know about a call beyond its handler. */
export interface CallPolicy {
  /** `change`: logged at info; `read`: at debug; `watch`: like read, and meant to last. */
  readonly kind: 'read' | 'change' | 'watch';
  /** For a client that sets no deadline. Infinity: what it starts has a bound of its own. */
  readonly deadlineMs: number;
  /** Answered before recovery has ended. */
  readonly beforeReady?: true;
}

const second = 1000;
const read: CallPolicy = { kind: 'read', deadlineMs: 30 * second };
const change: CallPolicy = { kind: 'change', deadlineMs: 120 * second };
/** Lasts as long as its request says. */
const asLongAsAsked: CallPolicy = { kind: 'change', deadlineMs: Infinity };

export const callPolicies: Readonly<Record<CriCall, CallPolicy>> = {
  Version: { ...read, beforeReady: true },
  Status: { ...read, beforeReady: true },
  RuntimeConfig: read,
  UpdateRuntimeConfig: change,

  RunPodSandbox: { kind: 'change', deadlineMs: 240 * second },
  StopPodSandbox: change,
  RemovePodSandbox: change,
  PodSandboxStatus: read,
  ListPodSandbox: read,
  StreamPodSandboxes: read,
  PodSandboxStats: read,
  ListPodSandboxStats: read,
  StreamPodSandboxStats: read,
  UpdatePodSandboxResources: change,

  CreateContainer: change,
  StartContainer: change,
  StopContainer: asLongAsAsked,
  RemoveContainer: change,
  ContainerStatus: read,
  ListContainers: read,
  StreamContainers: read,
  ContainerStats: read,
  ListContainerStats: read,
  StreamContainerStats: read,
  UpdateContainerResources: change,
  ReopenContainerLog: change,

  // Probes come every few seconds: no line at info for each.
  ExecSync: { kind: 'read', deadlineMs: Infinity },
  Exec: change,
  Attach: change,
  PortForward: change,

  GetContainerEvents: { kind: 'watch', deadlineMs: Infinity },
  ListMetricDescriptors: read,
  ListPodSandboxMetrics: read,
  StreamPodSandboxMetrics: read,
  CheckpointContainer: asLongAsAsked,
  CheckpointPod: asLongAsAsked,
  RestorePod: asLongAsAsked,

  ListImages: read,
  StreamImages: read,
  ImageStatus: read,
  ImageFsInfo: read,
  PullImage: asLongAsAsked,
  RemoveImage: change,
};
