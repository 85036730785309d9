import os from 'node:os';
import type { StatusRequest__Output } from '#cri-api/gen/runtime/v1/StatusRequest';
import type { StatusResponse } from '#cri-api/gen/runtime/v1/StatusResponse';
import type { RuntimeCondition } from '#cri-api/gen/runtime/v1/RuntimeCondition';
import { modulesInWords } from '#sandbox/module-labels';
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
    status: { conditions: [runtimeReady(gate.closedBecause), networkReady(deps), stateWritten(deps)] },
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

/** Not of the kubelet's: what exists is served all the same. */
function stateWritten({ sandboxes: { behind } }: RuntimeServiceDeps): RuntimeCondition {
  const type = 'BerthStateWritten';
  if (!behind) return { type, status: true, reason: '', message: '' };
  const message = `${behind.records} records wait: ${behind.because}`;
  return { type, status: false, reason: 'StateDiskFull', message };
}

/** What `crictl info` shows beyond the protocol. */
function statusInfo(deps: RuntimeServiceDeps): Record<string, string> {
  const { version, bootId, features, sandboxes, networkStatus, config } = deps;
  const { cgroupVersion, cgroupDriver, controllers, ...kernel } = features;
  return info({
    version,
    node: process.version,
    kernel: { release: os.release(), bootId, ...kernel },
    cgroup: { version: cgroupVersion, driver: cgroupDriver, controllers },
    securityModules: modulesInWords(features),
    network: networkStatus(),
    pods: countBy(sandboxes.listPods().map(({ status }) => status.state)),
    containers: countBy(sandboxes.listContainers().map(({ status }) => status.state)),
    writableLayers: sandboxes.stats.writableLayers(),
    config: config(),
  });
}

function countBy(states: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const state of states) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}
