import type { Fd } from '#linux/fd';
import type { NetworkRequest } from './pod-network.ts';

/** What a plain pod asks of the network. */
export function networkRequest(podId: string, netns: Fd, more: Partial<NetworkRequest> = {}): NetworkRequest {
  return {
    podId,
    netns,
    pod: { namespace: 'default', name: `pod-${podId.slice(0, 8)}`, uid: podId.slice(0, 16), annotations: {} },
    portMappings: [],
    dns: { servers: [], searches: [], options: [] },
    cgroupPath: '',
    sysctls: {},
    ...more,
  };
}
