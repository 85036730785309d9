import type { ListContainersRequest__Output } from '#cri-api/gen/runtime/v1/ListContainersRequest';
import type { ListContainersResponse } from '#cri-api/gen/runtime/v1/ListContainersResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriContainer } from '../to-cri/container.ts';
import { filterContainers } from './filters.ts';

export const listContainers: UnaryHandler<ListContainersRequest__Output, ListContainersResponse, RuntimeServiceDeps> = (
  _ctx,
  request,
  { sandboxes },
) => ({
  containers: filterContainers(sandboxes, request.filter).map(toCriContainer),
});
