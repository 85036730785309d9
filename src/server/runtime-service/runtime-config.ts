import type { RuntimeConfigRequest__Output } from '#cri-api/gen/runtime/v1/RuntimeConfigRequest';
import type { RuntimeConfigResponse } from '#cri-api/gen/runtime/v1/RuntimeConfigResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';

export const runtimeConfig: UnaryHandler<RuntimeConfigRequest__Output, RuntimeConfigResponse, RuntimeServiceDeps> = (
  _ctx,
  _request,
  { features },
) => ({
  linux: { cgroup_driver: features.cgroupDriver === 'systemd' ? 'SYSTEMD' : 'CGROUPFS' },
});
