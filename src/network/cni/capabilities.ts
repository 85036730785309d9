import { BerthError } from '#base/errors';
import type { NetworkRequest, PodLabels } from '../pod-network.ts';
import { bandwidthOf } from './bandwidth.ts';
import { hasCapability, type PluginConf } from './conf-list.ts';

// What a pod's config tells plugins: CNI_ARGS to all of them, `runtimeConfig` to those that declare the capability
// (conventions of the CNI project and of Kubernetes' runtimes).

export type Capabilities = Readonly<Record<string, unknown>>;

/** Everything there is to tell of the pod, by capability. @throws INVALID_ARGUMENT */
export function capabilitiesOf(request: NetworkRequest, podCidrs: readonly string[]): Capabilities {
  const { portMappings, dns, cgroupPath, pod } = request;
  const bandwidth = bandwidthOf(pod.annotations);
  const hasDns = dns.servers.length + dns.searches.length + dns.options.length > 0;
  return {
    ...(portMappings.length > 0 && {
      portMappings: portMappings.map(({ hostPort, containerPort, protocol, hostIp }) => ({
        ...{ hostPort, containerPort, protocol },
        ...(hostIp === '' ? {} : { hostIP: hostIp }),
      })),
    }),
    ...(bandwidth && { bandwidth }),
    ...(hasDns && { dns: { servers: dns.servers, searches: dns.searches, options: dns.options } }),
    ...(podCidrs.length > 0 && { ipRanges: podCidrs.map((subnet) => [{ subnet }]) }),
    ...(cgroupPath !== '' && { cgroupPath }),
    ...(Object.keys(pod.annotations).length > 0 && { 'io.kubernetes.cri.pod-annotations': pod.annotations }),
  };
}

/** Those the plugin declares; undefined for none. */
export function runtimeConfigFor(plugin: PluginConf, all: Capabilities): Capabilities | undefined {
  const wanted = Object.entries(all).filter(([name]) => hasCapability(plugin, name));
  return wanted.length === 0 ? undefined : Object.fromEntries(wanted);
}

/** CNI_ARGS. @throws INVALID_ARGUMENT for a value that would say something else to a plugin than it says here */
export function cniArgs(podId: string, { namespace, name, uid }: PodLabels): string {
  const pairs = {
    IgnoreUnknown: '1',
    K8S_POD_NAMESPACE: namespace,
    K8S_POD_NAME: name,
    K8S_POD_INFRA_CONTAINER_ID: podId,
    K8S_POD_UID: uid,
  };
  for (const [key, value] of Object.entries(pairs)) {
    if (!/[;=\u0000-\u001f\u007f]/.test(value) && value.length <= 1024) continue;
    throw new BerthError(
      'INVALID_ARGUMENT',
      `${key} ${JSON.stringify(value.slice(0, 80))} cannot be told to network plugins: it has ";", "=" or control characters, or is too long`,
    );
  }
  return Object.entries(pairs)
    .map(([key, value]) => `${key}=${value}`)
    .join(';');
}
