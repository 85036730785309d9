import path from 'node:path';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { PodSandboxConfig } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import { workloadCommand, workloadImage } from './images.ts';
import type { RuntimeUnderTest } from './node/runtime-under-test.ts';

/** "own": the built-in network or the peer's chain of plugins; "host": the node's. */
export type NetworkMode = 'own' | 'host';

// What a kubelet sends for a container that is neither privileged nor asks for another /proc.
const maskedPaths = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** The pod of a burstable container, as a kubelet would ask for it. */
export function podConfig(runtime: RuntimeUnderTest, name: string, mode: NetworkMode): PodSandboxConfig {
  const uid = `uid-${name}`;
  return {
    metadata: { name, uid, namespace: 'bench', attempt: 0 },
    hostname: mode === 'host' ? '' : name,
    log_directory: path.join(runtime.logRoot, uid),
    dns_config: { servers: ['10.96.0.10'], searches: ['bench.svc.cluster.local'], options: ['ndots:5'] },
    labels: { 'io.kubernetes.pod.name': name, 'io.kubernetes.pod.namespace': 'bench', 'io.kubernetes.pod.uid': uid },
    annotations: { 'kubernetes.io/config.source': 'api' },
    linux: {
      cgroup_parent: `${runtime.podParent}/pod${uid}`,
      security_context: { namespace_options: namespaces(mode), seccomp: { profile_type: 'RuntimeDefault' } },
    },
  };
}

function namespaces(mode: NetworkMode) {
  return { network: mode === 'host' ? 'NODE' : 'POD', pid: 'CONTAINER', ipc: 'POD' } as const;
}

export function containerConfig(pod: string, mode: NetworkMode, command = workloadCommand): ContainerConfig {
  return {
    metadata: { name: 'main', attempt: 0 },
    image: { image: workloadImage },
    command: [...command],
    envs: [
      { key: 'KUBERNETES_SERVICE_HOST', value: Buffer.from('10.96.0.1') },
      { key: 'KUBERNETES_SERVICE_PORT', value: Buffer.from('443') },
    ],
    labels: { 'io.kubernetes.container.name': 'main', 'io.kubernetes.pod.name': pod },
    annotations: { 'io.kubernetes.container.restartCount': '0' },
    log_path: 'main/0.log',
    linux: {
      resources: { cpu_period: 100_000, cpu_shares: 102, memory_limit_in_bytes: 128 * 1024 * 1024, oom_score_adj: 990 },
      security_context: {
        namespace_options: namespaces(mode),
        masked_paths: maskedPaths,
        readonly_paths: readonlyPaths,
        seccomp: { profile_type: 'RuntimeDefault' },
      },
    },
  };
}
