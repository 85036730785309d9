import type { RuntimeServiceHandlers } from '#cri-api/gen/runtime/v1/RuntimeService';
import type { ServiceTable } from '../handler.ts';
import { answerUnimplemented } from '../unimplemented.ts';
import { attach } from './attach.ts';
import { containerStatus } from './container-status.ts';
import { createContainer } from './create-container.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { exec } from './exec.ts';
import { execSync } from './exec-sync.ts';
import { getContainerEvents } from './get-container-events.ts';
import { listContainers } from './list-containers.ts';
import { listPodSandbox } from './list-pod-sandbox.ts';
import { podSandboxStatus } from './pod-sandbox-status.ts';
import { portForward } from './port-forward.ts';
import { removeContainer } from './remove-container.ts';
import { removePodSandbox } from './remove-pod-sandbox.ts';
import { reopenContainerLog } from './reopen-container-log.ts';
import { runPodSandbox } from './run-pod-sandbox.ts';
import { runtimeConfig } from './runtime-config.ts';
import { startContainer } from './start-container.ts';
import { status } from './status.ts';
import { stopContainer } from './stop-container.ts';
import { stopPodSandbox } from './stop-pod-sandbox.ts';
import { streamContainers } from './stream-containers.ts';
import { streamPodSandboxes } from './stream-pod-sandboxes.ts';
import { updateRuntimeConfig } from './update-runtime-config.ts';
import { version } from './version.ts';

/** Every call of the runtime service. */
export const runtimeService = {
  Version: version,
  Status: status,
  RuntimeConfig: runtimeConfig,
  UpdateRuntimeConfig: updateRuntimeConfig,

  RunPodSandbox: runPodSandbox,
  StopPodSandbox: stopPodSandbox,
  RemovePodSandbox: removePodSandbox,
  PodSandboxStatus: podSandboxStatus,
  ListPodSandbox: listPodSandbox,
  StreamPodSandboxes: streamPodSandboxes,
  UpdatePodSandboxResources: answerUnimplemented('UpdatePodSandboxResources'),

  CreateContainer: createContainer,
  StartContainer: startContainer,
  StopContainer: stopContainer,
  RemoveContainer: removeContainer,
  ListContainers: listContainers,
  StreamContainers: streamContainers,
  ContainerStatus: containerStatus,
  ReopenContainerLog: reopenContainerLog,
  ExecSync: execSync,
  GetContainerEvents: getContainerEvents,
  UpdateContainerResources: answerUnimplemented('UpdateContainerResources'),

  Exec: exec,
  Attach: attach,
  PortForward: portForward,

  ContainerStats: answerUnimplemented('ContainerStats'),
  ListContainerStats: answerUnimplemented('ListContainerStats'),
  StreamContainerStats: answerUnimplemented('StreamContainerStats'),
  PodSandboxStats: answerUnimplemented('PodSandboxStats'),
  ListPodSandboxStats: answerUnimplemented('ListPodSandboxStats'),
  StreamPodSandboxStats: answerUnimplemented('StreamPodSandboxStats'),
  ListMetricDescriptors: answerUnimplemented('ListMetricDescriptors'),
  ListPodSandboxMetrics: answerUnimplemented('ListPodSandboxMetrics'),
  StreamPodSandboxMetrics: answerUnimplemented('StreamPodSandboxMetrics'),

  CheckpointContainer: answerUnimplemented('CheckpointContainer'),
  CheckpointPod: answerUnimplemented('CheckpointPod'),
  RestorePod: answerUnimplemented('RestorePod'),
} satisfies ServiceTable<RuntimeServiceHandlers, RuntimeServiceDeps>;
