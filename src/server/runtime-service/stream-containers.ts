import type { StreamContainersRequest__Output } from '#cri-api/gen/runtime/v1/StreamContainersRequest';
import type { StreamContainersResponse } from '#cri-api/gen/runtime/v1/StreamContainersResponse';
import type { StreamHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { chunks } from '../chunks.ts';
import { toCriContainer } from '../to-cri/container.ts';
import { filterContainers } from './filters.ts';

export const streamContainers: StreamHandler<
  StreamContainersRequest__Output,
  StreamContainersResponse,
  RuntimeServiceDeps
> = (_ctx, request, { sandboxes }) =>
  chunks(filterContainers(sandboxes, request.filter), toCriContainer, (containers) => ({ containers }));
