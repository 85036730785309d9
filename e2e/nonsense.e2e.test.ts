import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as grpc from '@grpc/grpc-js';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { PodSandboxConfig } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { invalidBytes, invalidMark, variants } from './harness/nonsense.ts';
import { podConfig, shell, TestPod } from './harness/pods.ts';
import { seededRandom } from './harness/random.ts';

// Every field of a pod's and a container's config with what no kubelet sends: the answer names whose mistake it is, and
// nothing is left. BERTH_NONSENSE=all sends all of it, else a part that the seed chooses.

const everything = process.env['BERTH_NONSENSE'] === 'all';
const seed = Number(process.env['BERTH_SEED'] ?? 1);
const atOnce = 8;
/** Whoever made the mistake, these blame Berth or the machine. */
const ours = ['UNKNOWN', 'INTERNAL', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'ABORTED', 'DATA_LOSS', 'CANCELLED'];

let berthd: Berthd;
let pod: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd, { linux: { security_context: { privileged: true } } });
});
afterAll(() => berthd.teardown());

const resources = {
  cpu_period: '100000',
  cpu_quota: '50000',
  cpu_shares: '512',
  memory_limit_in_bytes: '67108864',
  memory_swap_limit_in_bytes: '67108864',
  oom_score_adj: '100',
  cpuset_cpus: '0',
  cpuset_mems: '0',
  unified: {},
  hugepage_limits: [{ page_size: '2MB', limit: '0' }],
};

const profiles = {
  seccomp: { profile_type: 'RuntimeDefault', localhost_ref: '' },
  apparmor: { profile_type: 'Unconfined', localhost_ref: '' },
  selinux_options: { user: '', role: '', type: '', level: '' },
} as const;

function fullContainer(): ContainerConfig {
  const volume = path.join(berthd.node.directory, 'volume');
  mkdirSync(volume, { recursive: true });
  return {
    ...shell('true'),
    metadata: { name: 'c', attempt: 0 },
    args: ['x'],
    working_dir: '/tmp',
    envs: [{ key: 'A', value: Buffer.from('b') }],
    mounts: [
      { container_path: '/data', host_path: volume, propagation: 'PROPAGATION_PRIVATE', mount_options: ['nodev'] },
    ],
    devices: [{ container_path: '/dev/zero', host_path: '/dev/zero', permissions: 'rw' }],
    labels: { label: 'l' },
    annotations: { annotation: 'a' },
    log_path: 'c.log',
    stdin: false,
    stop_signal: 'SIGNAL_SIGTERM',
    linux: {
      resources,
      security_context: {
        capabilities: {
          add_capabilities: ['NET_RAW'],
          drop_capabilities: ['CHOWN'],
          add_ambient_capabilities: ['NET_RAW'],
        },
        privileged: false,
        namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD', target_id: '' },
        run_as_user: { value: '1' },
        run_as_group: { value: '1' },
        supplemental_groups: ['7'],
        supplemental_groups_policy: 'Merge',
        readonly_rootfs: true,
        no_new_privs: true,
        masked_paths: ['/proc/keys'],
        readonly_paths: ['/proc/sys'],
        ...profiles,
      },
    },
  };
}

function fullPod(): PodSandboxConfig {
  return {
    ...podConfig(berthd),
    hostname: 'host',
    labels: { label: 'l' },
    annotations: { annotation: 'a' },
    dns_config: { servers: ['10.0.0.1'], searches: ['example.org'], options: ['ndots:1'] },
    port_mappings: [{ protocol: 'TCP', container_port: 80, host_port: 0, host_ip: '' }],
    linux: {
      cgroup_parent: `/${berthd.node.cgroupPrefix}/nonsense`,
      sysctls: { 'net.ipv4.ip_unprivileged_port_start': '0' },
      overhead: resources,
      resources,
      security_context: {
        namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
        run_as_user: { value: '0' },
        run_as_group: { value: '0' },
        supplemental_groups: ['7'],
        readonly_rootfs: true,
        ...profiles,
      },
    },
  };
}

/** So deep that no climbing nonsense leads out of the directory. */
const deepBelow = (directory: string): string => path.join(directory, '1/2/3/4/5');

interface Answer {
  readonly id: string;
  readonly status: string;
  readonly details: string;
}

/** A call whose encoded request may hold what no encoder would write. */
function call(name: 'createContainer' | 'runPodSandbox', request: object): Promise<Answer> {
  const client = berthd.cri.rawRuntime as unknown as grpc.Client;
  const method = (berthd.cri.rawRuntime.constructor as unknown as { service: grpc.ServiceDefinition }).service[
    `${name[0]?.toUpperCase() ?? ''}${name.slice(1)}`
  ];
  if (!method) throw new Error(`no call ${name}`);
  const serialize = (value: object): Buffer => {
    const bytes = method.requestSerialize(value);
    for (let at = bytes.indexOf(invalidMark); at >= 0; at = bytes.indexOf(invalidMark)) invalidBytes.copy(bytes, at);
    return bytes;
  };
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      method.path,
      serialize,
      (bytes) => method.responseDeserialize(bytes) as { container_id?: string; pod_sandbox_id?: string },
      request,
      { deadline: Date.now() + 30_000 },
      (error, response) =>
        resolve({
          id: response?.container_id ?? response?.pod_sandbox_id ?? '',
          status: error ? (grpc.status[error.code] ?? '') : 'OK',
          details: error?.details ?? '',
        }),
    );
  });
}

function chosen<T>(all: readonly T[], count: number): readonly T[] {
  if (everything) return all;
  const random = seededRandom(seed);
  return all.filter(() => random() < count / all.length);
}

/** Answers that blame Berth, by variant. */
async function sweep<Config>(
  all: readonly { readonly name: string; readonly config: Config }[],
  count: number,
  one: (config: Config, serial: number) => Promise<Answer>,
): Promise<string[]> {
  const bad: string[] = [];
  const statuses = new Map<string, number>();
  const queue = [...chosen(all, count).entries()];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [serial, { name, config }] = next;
      const { status, details } = await one(config, serial);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (ours.includes(status) || (status !== 'OK' && details === ''))
        bad.push(`${name} → ${status}: ${details.slice(0, 200)}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (bad.length === 0) expect([...statuses.keys()]).toEqual(expect.arrayContaining(['OK', 'INVALID_ARGUMENT']));
  return bad;
}

test('nonsense in a container is the caller’s mistake, or none', async () => {
  const all = variants(fullContainer(), {
    'mounts.0.host_path': deepBelow(path.join(berthd.node.directory, 'volume')),
  });
  const bad = await sweep(all, 250, async (config, serial) => {
    const attempt = config.metadata?.attempt === 0 ? serial : config.metadata?.attempt;
    const request = {
      pod_sandbox_id: pod.id,
      config: { ...config, metadata: config.metadata && { ...config.metadata, attempt } },
      sandbox_config: pod.config,
    };
    const answer = await call('createContainer', request);
    if (answer.id !== '') await berthd.cri.runtime.removeContainer({ container_id: answer.id });
    return answer;
  });
  expect(bad).toEqual([]);
});

test('nonsense in a pod is the caller’s mistake, or none', async () => {
  const parent = `/${berthd.node.cgroupPrefix}`;
  const all = variants(fullPod(), { log_directory: deepBelow(berthd.logs), 'linux.cgroup_parent': parent });
  const bad = await sweep(all, 100, async (config, serial) => {
    const attempt = config.metadata?.attempt === 0 ? serial : config.metadata?.attempt;
    const answer = await call('runPodSandbox', {
      config: { ...config, metadata: config.metadata && { ...config.metadata, attempt } },
    });
    if (answer.id !== '') await berthd.cri.runtime.removePodSandbox({ pod_sandbox_id: answer.id });
    return answer;
  });
  expect(bad).toEqual([]);
});

test('afterwards berthd is the same, and nothing is left', async () => {
  expect(await pod.sh('echo lives')).toBe('lives\n');
  await berthd.removeAllPods();
  expect(await berthd.strays()).toEqual([]);
});
