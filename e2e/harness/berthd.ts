import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connectCri, type CriClient } from '#cri-api/client';
import { callAdmin } from './admin.ts';
import { ensureBusybox } from './busybox.ts';
import { type CommandOptions, type CommandResult, output } from './command.ts';
import { added, fdsOf, rootGroupSettings } from './machine.ts';
import { TestNode, type NodeOptions } from './node.ts';
import { busybox, cache, crictlBinary, top } from './paths.ts';
import { eventually, within } from './wait.ts';

/** network.pool_size by default. */
const namespacePool = 4;

/** What the thread has open that waits for processes: it starts with the first of them and stays. */
const lateThread = ['anon_inode:[eventpoll]', 'anon_inode:[eventfd]'];

/** The thread that fetches from registries keeps itself and its connections for half a minute after the last pull. */
const registryIdleMs = 30_000;

export interface BerthdOptions {
  /** More TOML for the config file; tables that the harness writes itself cannot be repeated. */
  readonly config?: string | ((node: TestNode) => string);
  /** More lines for the table [network]; made when the node is there, whose directory they may name. */
  readonly network?: (node: TestNode) => string;
  readonly logLevel?: 'debug' | 'info';
  /** The state directory lies on a disk of its own, of this size ("24m"). */
  readonly diskSize?: string;
  /** The same for the directory of what a reboot clears. */
  readonly runSize?: string;
  /** Makes the node what it shall be, before anything is compared. */
  readonly prepare?: (node: TestNode) => Promise<void>;
  readonly node?: NodeOptions;
  /** A shell line before berthd in its process: "ulimit -S -c 0". */
  readonly before?: string;
}

export interface LoadedImage {
  readonly id: string;
  readonly repoTags: readonly string[];
}

/** What a berthd left behind, or took and did not give back. */
export class Leak extends Error {
  override readonly name = 'Leak';
}

/**
 * A berthd in namespaces of its own, started the way users start it, and everything to drive it from outside.
 * `teardown()` at the end of each file is part of the test: it fails when anything is left.
 */
export class Berthd {
  readonly node: TestNode;
  readonly root: string;
  readonly run: string;
  readonly socket: string;
  readonly adminSocket: string;
  readonly configFile: string;
  readonly logFile: string;
  cri: CriClient;
  readonly #before: string | undefined;
  #process: ChildProcess | undefined;
  /** File descriptors of this berthd while it had no pods; undefined when it has started with some. */
  #idleFds: readonly string[] | undefined;
  #nodeBefore: NodeState | undefined;

  constructor(node: TestNode, options: BerthdOptions = {}) {
    this.node = node;
    this.#before = options.before;
    this.root = path.join(node.directory, 's');
    this.run = path.join(node.directory, 'r');
    // A disk that is the node's alone is no place for sockets that we reach.
    const sockets = options.runSize === undefined ? this.run : node.directory;
    this.socket = path.join(sockets, 'berth.sock');
    this.adminSocket = path.join(sockets, 'admin.sock');
    this.configFile = path.join(node.directory, 'config.toml');
    const logs = path.join(cache, 'e2e-logs');
    mkdirSync(logs, { recursive: true });
    this.logFile = path.join(logs, `${node.id}.log`);
    writeFileSync(this.configFile, this.#configText(options));
    this.cri = connectCri(this.socket);
  }

  /** Where pods of this test write their logs. */
  get logs(): string {
    return path.join(this.node.directory, 'logs');
  }

  get pid(): number {
    if (this.#process === undefined) throw new Error('berthd is not running');
    return this.node.pidOf(this.#process);
  }

  /** Whether the berthd that was started has ended. */
  get dead(): boolean {
    return this.#process === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  get log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  /** Starts berthd and waits until it answers. */
  async start(): Promise<void> {
    this.#nodeBefore ??= await stateOf(this.node);
    const child = this.spawn();
    this.#process = child;
    const gone = new Promise<never>((_resolve, reject) => {
      child.once('exit', (code, signal) => reject(new Error(`berthd ended with ${code ?? signal}\n${this.#tail()}`)));
      child.once('error', reject);
    });
    gone.catch(() => undefined);
    // Version is answered before recovery has ended; lists are not.
    const ready = eventually('berthd answers', () => this.cri.runtime.listPodSandbox({}, { timeoutMs: 5000 }), 60_000);
    const { items } = await Promise.race([ready, gone]);
    if (items.length > 0) {
      this.#idleFds = undefined;
      return;
    }
    // The pool of network namespaces fills in the background: it is full before anything is compared.
    const full = (): boolean => fdsOf(this.pid).filter((fd) => fd === 'net').length >= namespacePool;
    await eventually('the pool of network namespaces is full', full, 10_000);
    this.#idleFds = fdsOf(this.pid);
  }

  /** Starts a process without waiting for anything; for tests of starts that fail. */
  spawn(configFile = this.configFile): ChildProcess {
    const log = openSync(this.logFile, 'a');
    const command = [path.join(top, 'deploy/berthd'), '--config', configFile];
    const before = this.#before === undefined ? [] : ['sh', '-c', `${this.#before} && exec "$@"`, 'sh'];
    const [file = '', ...args] = this.node.enter([...before, ...command]);
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', log], cwd: '/', env: process.env });
    closeSync(log);
    if (child.pid !== undefined) this.node.remember(child.pid);
    return child;
  }

  /** Stops berthd as systemd would; pods live on. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async kill9(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async restart(): Promise<void> {
    if (this.#process?.exitCode === null && this.#process.signalCode === null) await this.stop();
    await this.start();
  }

  /** The real crictl, in the node. */
  crictl(args: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return this.node.run(this.crictlCommand(args), options);
  }

  crictlCommand(args: readonly string[]): string[] {
    const endpoints = ['--runtime-endpoint', `unix://${this.socket}`, '--image-endpoint', `unix://${this.socket}`];
    return [crictlBinary, '--config', '/dev/null', ...endpoints, '--timeout', '30s', ...args];
  }

  /** crictl that must succeed; gives its standard output without the last line end. */
  async crictlOk(...args: string[]): Promise<string> {
    const result = await this.crictl(args);
    if (result.code !== 0) {
      throw new Error(`crictl ${args.join(' ')} ended with ${result.code}\n${result.stdout}${result.stderr}`);
    }
    return result.stdout.trimEnd();
  }

  /** The owner's command, in the node. */
  berth(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const env = { ...process.env, BERTH_SOCKET: this.socket, BERTH_ADMIN_SOCKET: this.adminSocket };
    return this.node.run([path.join(top, 'deploy/berth'), ...args], { env, ...options });
  }

  /** Loads the image that nearly every test uses; gives its name. */
  async loadBusybox(): Promise<string> {
    await this.load(await ensureBusybox(), busybox);
    return busybox;
  }

  /** Loads an archive; gives what berthd tells about its images. */
  async load(archive: string, reference?: string): Promise<readonly LoadedImage[]> {
    const body = { path: archive, ...(reference === undefined ? {} : { reference }) };
    const { lines } = await callAdmin(this.adminSocket, 'POST', '/images/load', body, 120_000);
    const last = lines.at(-1) ?? {};
    if (!('images' in last)) throw new Error(`loading ${archive} failed: ${JSON.stringify(last)}`);
    return last['images'] as LoadedImage[];
  }

  /** What the owner does who has seen what recovery set aside and ended. */
  async forget(): Promise<void> {
    await callAdmin(this.adminSocket, 'POST', '/check/forget', {}, 30_000);
  }

  /** What `berth check` would list. */
  async strays(): Promise<readonly string[]> {
    const { status, lines } = await callAdmin(this.adminSocket, 'GET', '/check');
    const strays = lines.at(-1)?.['strays'];
    if (status !== 200 || !Array.isArray(strays)) throw new Error(`check answered ${status} ${JSON.stringify(lines)}`);
    return strays.map((stray) => (typeof stray === 'string' ? stray : JSON.stringify(stray)));
  }

  async removeAllPods(): Promise<void> {
    const { items } = await this.cri.runtime.listPodSandbox({});
    await Promise.all(items.map(({ id }) => this.cri.runtime.removePodSandbox({ pod_sandbox_id: id })));
  }

  /** Ends everything and throws a Leak when the machine is not as it was, or berthd kept something of its pods. */
  async teardown(): Promise<void> {
    const leaks: string[] = [];
    try {
      if (this.#process && this.#process.exitCode === null && this.#process.signalCode === null) {
        leaks.push(...(await this.#endGently()));
      }
      leaks.push(...(await this.#nodeLeaks()), ...this.#bugs());
    } catch (error) {
      leaks.push(`teardown failed: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.cri.close();
      if (this.#process?.exitCode === null && this.#process.signalCode === null) await this.kill9();
      await this.node.destroy();
    }
    if (leaks.length > 0) throw new Leak(`${leaks.join('\n')}\nberthd's log: ${this.logFile}\n${this.#tail()}`);
  }

  /** Removes the pods, compares file descriptors, asks berthd what it does not own, and shuts it down. */
  async #endGently(): Promise<string[]> {
    const leaks: string[] = [];
    await this.removeAllPods();
    const idle = this.#idleFds;
    if (idle !== undefined) {
      this.cri.close();
      this.cri = connectCri(this.socket);
      // One connection each for the runtime and the image service may be there now as it was, or not, at the start.
      const extra = (): string[] => added([...idle, 'socket', 'socket', ...lateThread], fdsOf(this.pid));
      await eventually(
        'berthd closes what it opened for pods',
        () => extra().length === 0,
        registryIdleMs + 10_000,
      ).catch(() => leaks.push(...extra().map((fd) => `berthd keeps open: ${fd}`)));
    }
    leaks.push(...(await this.strays()).map((stray) => `berth check: ${stray}`));
    await callAdmin(this.adminSocket, 'POST', '/shutdown', { removeAll: true });
    const child = this.#process;
    if (child) await within('berthd ends after shutdown', 20_000, exitOf(child));
    if (existsSync(path.join(this.run, 'pods'))) leaks.push(`after --remove-all: ${this.run}/pods`);
    return leaks;
  }

  /** What the metrics server answers: its port is the node's own. */
  async metrics(page = '/metrics'): Promise<string> {
    const script = `exec 3<>/dev/tcp/127.0.0.1/9478; printf 'GET ${page} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
    return output(this.node.enter(['bash', '-c', script]));
  }

  /** Exceptions and rejected promises that nobody took. */
  #bugs(): string[] {
    return this.log.split('\n').filter((line) => line.includes('this is a bug in Berth'));
  }

  async #nodeLeaks(): Promise<string[]> {
    const before = this.#nodeBefore;
    if (before === undefined) return [];
    const left = async (): Promise<string[]> => {
      const after = await stateOf(this.node);
      return (Object.keys(after) as (keyof NodeState)[]).flatMap((kind) =>
        added(before[kind], after[kind]).map((item) => `left behind: ${kind}: ${item}`),
      );
    };
    // The kernel ends network namespaces in its own time.
    return eventually('nothing is left', async () => (await left()).length === 0, 5000).then(() => [], left);
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = exitOf(child);
    process.kill(this.pid, signal);
    await within(`berthd ends after ${signal}`, 20_000, ended);
  }

  #tail(): string {
    return this.log.split('\n').slice(-30).join('\n');
  }

  #configText({ config = '', network, logLevel = 'debug' }: BerthdOptions): string {
    const { id, cgroupPrefix } = this.node;
    return `root = "${this.root}"
run = "${this.run}"
socket = "${this.socket}"
admin_socket = "${this.adminSocket}"
${typeof config === 'string' ? config : config(this.node)}
[network]
bridge = "bb${id}"
nft_table = "berth${id}"
netns_dir = "${path.join(this.node.directory, 'netns')}"
${network?.(this.node) ?? ''}
[cgroup]
default_parent = "/${cgroupPrefix}"
shim_parent = "/${cgroupPrefix}-shims"
[log]
level = "${logLevel}"
`;
  }
}

interface NodeState {
  readonly mounts: readonly string[];
  readonly network: readonly string[];
  readonly cgroups: readonly string[];
  readonly rootGroups: readonly string[];
}

async function stateOf(node: TestNode): Promise<NodeState> {
  return {
    ...{ mounts: node.mounts(), network: await node.network() },
    ...{ cgroups: node.cgroups(), rootGroups: rootGroupSettings() },
  };
}

function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

/** A running berthd on a node of its own. */
export async function startBerthd(options: BerthdOptions = {}): Promise<Berthd> {
  const node = await TestNode.create(options.node);
  const berthd = new Berthd(node, options);
  try {
    const disks = [
      [berthd.root, options.diskSize],
      [berthd.run, options.runSize],
    ] as const;
    for (const [directory, size] of disks) {
      if (size === undefined) continue;
      mkdirSync(directory);
      await node.run(['mount', '-t', 'tmpfs', '-o', `size=${size}`, 'none', directory]);
    }
    await options.prepare?.(node);
    await berthd.start();
  } catch (error) {
    await berthd.kill9();
    berthd.cri.close();
    await node.destroy();
    throw error;
  }
  return berthd;
}
