import type { StreamPodSandboxesRequest__Output } from '#cri-api/gen/runtime/v1/StreamPodSandboxesRequest';
import type { StreamPodSandboxesResponse } from '#cri-api/gen/runtime/v1/StreamPodSandboxesResponse';
import type { StreamHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { chunks } from '../chunks.ts';
import { toCriPod } from '../to-cri/pod.ts';
import { filterPods } from './filters.ts';

export const streamPodSandboxes: StreamHandler<
  StreamPodSandboxesRequest__Output,
  StreamPodSandboxesResponse,
  RuntimeServiceDeps
> = (_ctx, request, { sandboxes }) =>
  chunks(filterPods(sandboxes, request.filter), toCriPod, (pods) => ({ pod_sandboxes: pods }));
