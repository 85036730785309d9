import type { StatusRequest__Output } from '#cri-api/gen/runtime/v1/StatusRequest';
import type { StatusResponse } from '#cri-api/gen/runtime/v1/StatusResponse';
import type { RuntimeCondition } from '#cri-api/gen/runtime/v1/RuntimeCondition';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { info } from '../to-cri/info.ts';

export const status: UnaryHandler<StatusRequest__Output, StatusResponse, RuntimeServiceDeps> = (
  _ctx,
  request,
  deps,
) => {
  const { gate, features } = deps;
  const handlerFeatures = {
    recursive_read_only_mounts: features.recursiveReadOnlyMounts,
    user_namespaces: features.userNamespaces,
  };
  return {
    status: { conditions: [runtimeReady(gate.closedBecause), networkReady(deps)] },
    info: request.verbose ? statusInfo(deps) : {},
    runtime_handlers: deps.runtimeHandlers.map((name) => ({ name, features: handlerFeatures })),
    features: {
      supplemental_groups_policy: true,
      user_namespaces_host_network: false,
      mount_options: true,
    },
  };
};

function runtimeReady(closedBecause: string | undefined): RuntimeCondition {
  if (closedBecause === undefined) return { type: 'RuntimeReady', status: true, reason: '', message: '' };
  return { type: 'RuntimeReady', status: false, reason: 'Recovering', message: closedBecause };
}

function networkReady({ networkStatus }: RuntimeServiceDeps): RuntimeCondition {
  const { ready, reason, message } = networkStatus();
  return { type: 'NetworkReady', status: ready, reason, message };
}

function statusInfo({ version, features, config }: RuntimeServiceDeps): Record<string, string> {
  return info({ version, node: process.version, features, config: config() });
}
