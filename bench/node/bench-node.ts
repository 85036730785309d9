import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const cgroupRoot = '/sys/fs/cgroup';
/** The hierarchies that count what a runtime uses; on v2 there is one tree for all. */
const counting = ['cpuacct', 'memory'] as const;

export interface DaemonOptions {
  /** Also the name of its log, in the node's directory. */
  readonly name: string;
  /** Group below the node's own whose use is counted. */
  readonly group: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The node of namespaces that everything runs in. Closing its standard input ends it and all that is inside. */
export class BenchNode {
  readonly #holder: ChildProcess;
  readonly #children = new Set<ChildProcess>();
  readonly #ended: Promise<number | null>;
  readonly pid: number;
  readonly directory: string;
  /** Of its control groups, in every hierarchy. */
  readonly name: string;

  private constructor(
    holder: ChildProcess,
    ended: Promise<number | null>,
    pid: number,
    directory: string,
    name: string,
  ) {
    this.#holder = holder;
    this.#ended = ended;
    this.pid = pid;
    this.directory = directory;
    this.name = name;
  }

  static async start(cache: string): Promise<BenchNode> {
    const name = `berth-bench-${process.pid}`;
    const directory = path.join(cache, name);
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    // A session of its own: Ctrl-C is for us, and we close its input.
    const holder = spawn(path.join(import.meta.dirname, 'node.sh'), [directory, name], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    const ended = once(holder, 'exit').then(([code]) => code as number | null);
    const ready = once(holder.stdout, 'data').then(() => true);
    if (!(await Promise.race([ready, ended.then(() => false)])))
      throw new Error('the node of namespaces did not start');
    // node.sh, unshare, and its child: the node's first process.
    const first = onlyChild(onlyChild(holder.pid!));
    return new BenchNode(holder, ended, first, directory, name);
  }

  /** A path inside the node as seen from outside. */
  outside(inside: string): string {
    return `/proc/${this.pid}/root${inside}`;
  }

  #nsenter(command: readonly string[]): readonly string[] {
    return ['-t', String(this.pid), '--mount', '--net', '--ipc', '--uts', '--pid', '--', ...command];
  }

  /** Runs a command in the node to its end and gives its output. */
  async run(command: readonly string[], input = ''): Promise<string> {
    const child = spawn('nsenter', this.#nsenter(command), { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#track(child);
    const chunks: { out: Buffer[]; err: Buffer[] } = { out: [], err: [] };
    child.stdout.on('data', (chunk: Buffer) => chunks.out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.err.push(chunk));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (code === 0) return Buffer.concat(chunks.out).toString();
    throw new Error(
      `${command.join(' ')}: ${signal ?? `exit ${code}`}: ${Buffer.concat(chunks.err).toString().trim()}`,
    );
  }

  /** Starts a process in counted groups of its own; gives its pid outside of the node. */
  async startDaemon(options: DaemonOptions): Promise<number> {
    const groups = this.makeGroup(`${options.group}/daemon`);
    const log = openSync(this.logFile(options.name), 'a');
    const entries = groups.map((group) => path.join(group, 'cgroup.procs'));
    const script = `for entry in ${entries.join(' ')}; do echo 0 >"$entry" || exit 1; done; exec "$@"`;
    const command = this.#nsenter(['/bin/sh', '-c', script, 'sh', ...options.command]);
    const child = spawn('nsenter', command, { stdio: ['ignore', log, log], env: options.env });
    closeSync(log);
    this.#track(child);
    for (let tries = 0; tries < 200; tries++) {
      if (child.exitCode !== null) break;
      const pid = childrenOf(child.pid!)[0];
      if (pid !== undefined) return pid;
      await sleep(10);
    }
    throw new Error(`${options.name} did not start: ${this.logTail(options.name)}`);
  }

  #track(child: ChildProcess): void {
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
  }

  logFile(name: string): string {
    return path.join(this.directory, `${name}.log`);
  }

  logTail(name: string): string {
    return readFileSync(this.logFile(name), 'utf8').split('\n').slice(-12).join('\n');
  }

  /** The directories of a group below the node's own, in the hierarchies that count. */
  groupDirs(group: string): readonly string[] {
    if (existsSync(path.join(cgroupRoot, 'cgroup.controllers'))) return [path.join(cgroupRoot, this.name, group)];
    return counting.map((hierarchy) => path.join(cgroupRoot, hierarchy, this.name, group));
  }

  makeGroup(group: string): readonly string[] {
    const dirs = this.groupDirs(group);
    for (const dir of dirs) mkdirSync(dir, { recursive: true });
    return dirs;
  }

  /** CPU seconds used by a group and all below it since it was made, gone processes and groups included. */
  cpuSeconds(group: string): number {
    const [dir] = this.groupDirs(group);
    if (dir!.includes('/cpuacct/')) return Number(readFileSync(path.join(dir!, 'cpuacct.usage'), 'utf8')) / 1e9;
    const line = /^usage_usec ([0-9]+)$/m.exec(readFileSync(path.join(dir!, 'cpu.stat'), 'utf8'));
    return Number(line?.[1]) / 1e6;
  }

  /** Bytes of kernel memory charged to a group and all below it; undefined where the kernel does not say. */
  kernelBytes(group: string): number | undefined {
    const file = path.join(this.groupDirs(group)[1] ?? '', 'memory.kmem.usage_in_bytes');
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined;
  }

  /** Ends everything inside and waits until it and its traces are gone. */
  async stop(): Promise<void> {
    this.#holder.stdin?.end();
    const code = await this.#ended;
    if (code !== 0) throw new Error(`the node of namespaces left something behind (exit ${code})`);
  }
}

export function childrenOf(pid: number): readonly number[] {
  try {
    // Of all threads: a child belongs to the thread that made it.
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function onlyChild(pid: number): number {
  const [child] = childrenOf(pid);
  if (child === undefined) throw new Error(`process ${pid} has no child`);
  return child;
}
