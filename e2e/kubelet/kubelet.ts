import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { CommandResult } from '../harness/command.ts';
import { cgroupHierarchies, cgroupsOf, removeCgroups } from '../harness/machine.ts';
import type { TestNode } from '../harness/node.ts';
import { cache } from '../harness/paths.ts';
import { eventually, within } from '../harness/wait.ts';
import type { StaticPod } from './manifests.ts';

export const kubeletBinary = path.join(cache, 'kubelet-v1.37.2/kubelet');
export const nodeName = 'berth-node';
const nodeAddress = '10.66.0.1';
const port = 10_250;

/** Kernel settings that every kubelet writes, with the values it wants. They are the whole machine's, in no namespace. */
const tunables: Readonly<Record<string, string>> = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

const directoryOf = (node: TestNode): string => path.join(node.directory, 'k');
const cgroupOf = (node: TestNode): string => `${node.cgroupPrefix}-kubelet`;

/**
 * Before anything runs: what a kubelet would change on the machine it gets as files of the node's own, and an address
 * that is not the loopback's, as it wants one.
 */
export async function prepareForKubelet(node: TestNode): Promise<void> {
  const directory = directoryOf(node);
  for (const name of ['root', 'logs', 'links', 'manifests', 'plugins', 'tunables']) {
    mkdirSync(path.join(directory, name), { recursive: true, mode: 0o755 });
  }
  const mounts = Object.entries(tunables).map(([name, value]) => {
    const file = path.join(directory, 'tunables', name.replaceAll('/', '.'));
    writeFileSync(file, `${value}\n`);
    return `mount --bind ${file} /proc/sys/${name}`;
  });
  const links = '/var/log/containers';
  const script = [
    'set -eu',
    ...mounts,
    `mkdir -p ${links} && mount --bind ${path.join(directory, 'links')} ${links}`,
    'mount -t tmpfs -o mode=0755 tmpfs /run',
    `ip link add node0 type bridge && ip address add ${nodeAddress}/24 dev node0 && ip link set node0 up`,
  ];
  const prepared = await node.run(['sh', '-c', script.join('\n')]);
  if (prepared.code !== 0) throw new Error(`could not prepare the node for a kubelet: ${prepared.stderr}`);
}

/** Parts of a pod's status as the kubelet's own API shows it. */
export interface KubeletPod {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly KubeletContainer[];
    readonly initContainerStatuses?: readonly KubeletContainer[];
  };
}

export interface KubeletContainer {
  readonly name: string;
  readonly containerID?: string;
  readonly restartCount: number;
  readonly ready: boolean;
  readonly state: ContainerState;
  readonly lastState: ContainerState;
}

interface ContainerState {
  readonly running?: { readonly startedAt: string };
  readonly waiting?: { readonly reason: string; readonly message?: string };
  readonly terminated?: { readonly exitCode: number; readonly reason: string };
}

/** A real kubelet without an API server, in the node of a berthd: it runs the pods whose manifests lie in a directory. */
export class Kubelet {
  readonly #node: TestNode;
  readonly #socket: string;
  readonly #directory: string;
  readonly #cgroup: string;
  readonly logFile: string;
  #process: ChildProcess | undefined;

  /** @param socket where the runtime serves the CRI */
  constructor(node: TestNode, socket: string) {
    this.#node = node;
    this.#socket = socket;
    this.#directory = directoryOf(node);
    this.#cgroup = cgroupOf(node);
    this.logFile = path.join(cache, 'e2e-logs', `${node.id}-kubelet.log`);
  }

  get log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  get logsDirectory(): string {
    return path.join(this.#directory, 'logs');
  }

  async start(): Promise<void> {
    const log = openSync(this.logFile, 'a');
    const config = path.join(this.#directory, 'kubelet.yaml');
    writeFileSync(config, JSON.stringify(this.#config()));
    const root = path.join(this.#directory, 'root');
    const [file = '', ...args] = this.#node.enter([
      kubeletBinary,
      ...['--config', config, '--root-dir', root, '--hostname-override', nodeName, '--node-ip', nodeAddress, '--v=2'],
    ]);
    const child = spawn(file, args, { stdio: ['ignore', log, log], cwd: '/' });
    closeSync(log);
    if (child.pid !== undefined) this.#node.remember(child.pid);
    this.#process = child;
    const healthy = async (): Promise<boolean> => {
      if (child.exitCode !== null) throw new Error(`the kubelet ended with ${child.exitCode}: see ${this.logFile}`);
      return (await this.#curl('/healthz')).stdout === 'ok';
    };
    await eventually('the kubelet is healthy', healthy, 60_000);
  }

  /** The kubelet wants its part of the control groups to be there. */
  makeCgroups(): void {
    for (const hierarchy of cgroupHierarchies()) {
      if (path.basename(hierarchy) !== 'unified') mkdirSync(path.join(hierarchy, this.#cgroup), { recursive: true });
    }
    const cpuset = '/sys/fs/cgroup/cpuset';
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (!existsSync(path.join(cpuset, file))) continue;
      writeFileSync(path.join(cpuset, this.#cgroup, file), readFileSync(path.join(cpuset, file)));
    }
  }

  /** Removes what every kubelet leaves behind. Groups of pods are not among that. */
  removeCgroups(): void {
    const groups = cgroupsOf(this.#cgroup);
    removeCgroups(groups.filter((group) => !/\/pod[^/]+/.test(group)));
  }

  /** Directories of pods that the kubelet has not cleaned up. */
  podDirectories(): readonly string[] {
    return readdirSync(path.join(this.#directory, 'root/pods'));
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await within(`the kubelet ends after ${signal}`, 30_000, ended);
  }

  apply(pod: StaticPod): void {
    // The kubelet watches the directory: it must never see half a file.
    const fresh = path.join(this.#directory, 'manifest');
    writeFileSync(fresh, JSON.stringify(pod));
    renameSync(fresh, this.#manifest(pod.metadata.name));
  }

  withdraw(name: string): void {
    rmSync(this.#manifest(name), { force: true });
  }

  async pods(): Promise<readonly KubeletPod[]> {
    const list = (await this.get('/pods')) as { readonly items: readonly KubeletPod[] | null };
    return list.items ?? [];
  }

  /** The pod of that manifest. A static pod is called by its name and the node's. */
  async pod(name: string): Promise<KubeletPod> {
    const pod = (await this.pods()).find(({ metadata }) => metadata.name === `${name}-${nodeName}`);
    if (!pod) throw new Error(`the kubelet knows no pod ${name}`);
    return pod;
  }

  async container(pod: string, name: string): Promise<KubeletContainer> {
    const { containerStatuses = [], initContainerStatuses = [] } = (await this.pod(pod)).status;
    const found = [...containerStatuses, ...initContainerStatuses].find((container) => container.name === name);
    if (!found) throw new Error(`pod ${pod} shows no container ${name}`);
    return found;
  }

  async get(url: string): Promise<unknown> {
    return JSON.parse(await this.text(url));
  }

  async text(url: string): Promise<string> {
    const { code, stdout, stderr } = await this.#curl(url, '--fail-with-body');
    if (code !== 0) throw new Error(`GET ${url} of the kubelet: ${stdout} ${stderr}`);
    return stdout;
  }

  /** Runs a command by the kubelet's own API, which answers with its output. */
  async run(pod: string, container: string, command: string): Promise<string> {
    const url = `/run/default/${pod}-${nodeName}/${container}?cmd=${encodeURIComponent(command)}`;
    const { code, stdout, stderr } = await this.#curl(url, '--fail-with-body', '-X', 'POST');
    if (code !== 0) throw new Error(`POST ${url} of the kubelet: ${stdout} ${stderr}`);
    return stdout;
  }

  /** Errors of its log, each once, with the file and line that wrote it. */
  errors(): readonly string[] {
    const lines = this.log.split('\n').filter((line) => /^[EF]\d{4} /.test(line));
    return [...new Set(lines.map((line) => line.replace(/^([EF])\d+ [\d:.]+ +\d+ /, '$1 ')))];
  }

  #curl(url: string, ...options: readonly string[]): Promise<CommandResult> {
    const to = `https://127.0.0.1:${port}${url}`;
    return this.#node.run(['curl', '-sk', '--max-time', '20', ...options, to]);
  }

  #manifest(name: string): string {
    return path.join(this.#directory, 'manifests', `${name}.json`);
  }

  #config(): object {
    return {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      port,
      address: '127.0.0.1',
      enableServer: true,
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: 'AlwaysAllow' },
      containerRuntimeEndpoint: `unix://${this.#socket}`,
      // Kubelets refuse machines with control groups of version 1 unless told otherwise.
      failCgroupV1: false,
      failSwapOn: false,
      cgroupRoot: `/${this.#cgroup}`,
      // Berth's answer to RuntimeConfig decides; a wrong one would show.
      cgroupDriver: 'systemd',
      enforceNodeAllocatable: ['pods'],
      staticPodPath: path.join(this.#directory, 'manifests'),
      podLogsDir: this.logsDirectory,
      volumePluginDir: path.join(this.#directory, 'plugins'),
      makeIPTablesUtilChains: false,
      resolvConf: '',
      fileCheckFrequency: '1s',
      syncFrequency: '5s',
      containerLogMaxSize: '20Ki',
      containerLogMaxFiles: 3,
      containerLogMonitorInterval: '3s',
      crashLoopBackOff: { maxContainerRestartPeriod: '5s' },
      featureGates: { KubeletCrashLoopBackOffMax: true, PodAndContainerStatsFromCRI: true },
      evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
      imageGCHighThresholdPercent: 99,
      imageGCLowThresholdPercent: 98,
      shutdownGracePeriod: '0s',
    };
  }
}
