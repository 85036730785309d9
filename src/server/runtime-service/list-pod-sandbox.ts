import type { ListPodSandboxRequest__Output } from '#cri-api/gen/runtime/v1/ListPodSandboxRequest';
import type { ListPodSandboxResponse } from '#cri-api/gen/runtime/v1/ListPodSandboxResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriPod } from '../to-cri/pod.ts';
import { filterPods } from './filters.ts';

export const listPodSandbox: UnaryHandler<ListPodSandboxRequest__Output, ListPodSandboxResponse, RuntimeServiceDeps> = (
  _ctx,
  request,
  { sandboxes },
) => ({
  items: filterPods(sandboxes, request.filter).map(toCriPod),
});
