import type { PodSandbox } from '#cri-api/gen/runtime/v1/PodSandbox';
import type { PodSandboxNetworkStatus } from '#cri-api/gen/runtime/v1/PodSandboxNetworkStatus';
import type { PodSandboxStatus } from '#cri-api/gen/runtime/v1/PodSandboxStatus';
import type { PodView } from '#sandbox/pod';
import { toInt64 } from '../safe-int.ts';

const stateOf = ({ status }: PodView): 'SANDBOX_READY' | 'SANDBOX_NOTREADY' =>
  status.state === 'ready' ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY';

/** A pod in a list. */
export function toCriPod(pod: PodView): PodSandbox {
  const { config, runtimeHandler } = pod.identity;
  return {
    id: pod.id,
    metadata: config.metadata,
    state: stateOf(pod),
    created_at: toInt64(pod.status.createdAtNs),
    labels: config.labels,
    annotations: config.annotations,
    runtime_handler: runtimeHandler,
  } satisfies PodSandbox;
}

export function toCriPodStatus(pod: PodView): PodSandboxStatus {
  const { config, runtimeHandler } = pod.identity;
  return {
    id: pod.id,
    metadata: config.metadata,
    state: stateOf(pod),
    created_at: toInt64(pod.status.createdAtNs),
    network: toCriNetwork(pod),
    linux: { namespaces: { options: config.linux?.security_context?.namespace_options ?? {} } },
    labels: config.labels,
    annotations: config.annotations,
    runtime_handler: runtimeHandler,
  } satisfies PodSandboxStatus;
}

/** Addresses while the pod has a network of its own. */
function toCriNetwork({ status }: PodView): PodSandboxNetworkStatus {
  const [ip = '', ...more] = status.network?.addresses ?? [];
  return { ip, additional_ips: more.map((address) => ({ ip: address })) };
}
