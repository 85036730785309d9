import type { VersionRequest__Output } from '#cri-api/gen/runtime/v1/VersionRequest';
import type { VersionResponse } from '#cri-api/gen/runtime/v1/VersionResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

/** `version` is that of the kubelet's API, which never was another one. */
export const version: UnaryHandler<VersionRequest__Output, VersionResponse, RuntimeServiceDeps> = (
  _ctx,
  _request,
  { version },
) => ({
  version: '0.1.0',
  runtime_name: 'berth',
  runtime_version: version,
  runtime_api_version: 'v1',
});
