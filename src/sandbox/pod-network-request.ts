import { BerthError } from '#base/errors';
import type { PortMapping__Output } from '#cri-api/gen/runtime/v1/PortMapping';
import type { NetworkRequest, PortMapping } from '#network/pod-network';
import type { PodConfig } from './identity.ts';
import type { Pod } from './pod.ts';

/** What the network is told of a pod. @throws INVALID_ARGUMENT */
export function networkRequest(
  pod: Pod,
  netns: NetworkRequest['netns'],
  sysctls: NetworkRequest['sysctls'],
): NetworkRequest {
  const { config } = pod.identity;
  const { metadata, annotations, dns_config: dns, linux } = config;
  return {
    podId: pod.id,
    netns,
    pod: {
      namespace: metadata?.namespace ?? '',
      name: metadata?.name ?? '',
      uid: metadata?.uid ?? '',
      annotations: { ...annotations },
    },
    portMappings: portMappings(config),
    dns: { servers: dns?.servers ?? [], searches: dns?.searches ?? [], options: dns?.options ?? [] },
    cgroupPath: linux?.cgroup_parent ?? '',
    sysctls,
  };
}

/** The mappings with a host port: 0 means none (CRI), and the kubelet sends them all. @throws INVALID_ARGUMENT */
export function portMappings(config: PodConfig): readonly PortMapping[] {
  return config.port_mappings.filter((mapping) => mapping.host_port > 0).map(portMapping);
}

function portMapping({ protocol, container_port, host_port, host_ip }: PortMapping__Output): PortMapping {
  for (const port of [container_port, host_port]) {
    if (port < 1 || port > 65_535) throw new BerthError('INVALID_ARGUMENT', `port ${port} is not between 1 and 65535`);
  }
  return { protocol: protocolOf(protocol), containerPort: container_port, hostPort: host_port, hostIp: host_ip };
}

function protocolOf(protocol: PortMapping__Output['protocol']): PortMapping['protocol'] {
  switch (protocol) {
    case 'TCP':
      return 'tcp';
    case 'UDP':
      return 'udp';
    case 'SCTP':
      return 'sctp';
    default:
      throw new BerthError('INVALID_ARGUMENT', `port protocol ${protocol as string} is not TCP, UDP or SCTP`);
  }
}
