import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run, type CommandOptions, type CommandResult } from './command.ts';
import { cgroupsOf, childrenOf, mountsOf, pidsIn, removeCgroups, startTimeOf } from './machine.ts';
import { sweep } from './sweep.ts';
import { eventually, within } from './wait.ts';

// With SIGCHLD ignored the kernel reaps what is orphaned.
const wholeSetup = 'hostname berth-node && mount -t tmpfs -o mode=0755 tmpfs /run && trap "" CHLD &&';

export interface NodeOptions {
  /** Pid, ipc and uts namespaces of its own too, and a /run: more like a machine, but pids differ inside and outside. */
  readonly whole?: boolean;
}

/**
 * A node to run berthd on: network and mount namespaces of its own, so that nothing of the machine's network or mounts
 * is touched, and names that belong to it alone. Pods' processes are still the machine's: control groups are shared, and
 * its pid namespace unless the node is a whole one.
 */
export class TestNode {
  readonly id: string;
  /** Short, because sockets lie in it. */
  readonly directory: string;
  readonly #holder: ChildProcess;
  readonly #companions: ChildProcess[] = [];

  readonly #whole: boolean;

  private constructor(id: string, holder: ChildProcess, whole: boolean) {
    this.id = id;
    this.directory = `/tmp/b${id}`;
    this.#holder = holder;
    this.#whole = whole;
  }

  static async create({ whole = false }: NodeOptions = {}): Promise<TestNode> {
    await sweep();
    const id = randomBytes(3).toString('hex').slice(0, 5);
    const directory = `/tmp/b${id}`;
    mkdirSync(path.join(directory, 'pids'), { recursive: true, mode: 0o711 });
    writeFileSync(path.join(directory, 'owner'), `${process.pid} ${startTimeOf(process.pid)}\n`);
    // / is shared, as on every systemd machine, but with nobody outside. `cat` ends with this process.
    const more = whole ? ['-p', '-i', '-u', '--fork', '--kill-child', '--mount-proc'] : [];
    const script = `ip link set lo up && mount --make-rshared / && ${whole ? wholeSetup : ''} echo ready && exec cat`;
    const holder = spawn('unshare', ['-n', '-m', ...more, '--propagation', 'private', 'sh', '-c', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const node = new TestNode(id, holder, whole);
    await within(
      'namespaces of the test node',
      10_000,
      new Promise<void>((resolve, reject) => {
        holder.stdout.once('data', () => resolve());
        holder.once('exit', (code) => reject(new Error(`unshare ended with ${code}: are you root?`)));
      }),
    );
    node.remember(node.pid);
    return node;
  }

  /** The process that holds the namespaces. */
  get pid(): number {
    return this.pidOf(this.#holder);
  }

  /** The pid out here of what was started in the node: in a whole node, it is a child of the process that we have. */
  pidOf(child: ChildProcess): number {
    if (child.pid === undefined) throw new Error(`${child.spawnfile} has no process`);
    if (!this.#whole) return child.pid;
    const [inner] = childrenOf(child.pid);
    if (inner === undefined) throw new Error(`${child.spawnfile} has not started its command`);
    return inner;
  }

  get cgroupPrefix(): string {
    return `berth-e2e-${this.id}`;
  }

  /** The command as it must be started to run in the node. */
  enter(argv: readonly string[]): string[] {
    const more = this.#whole ? ['-p', '-i', '-u'] : [];
    return ['nsenter', '-t', String(this.pid), '-n', '-m', ...more, '--', ...argv];
  }

  run(argv: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return run(this.enter(argv), options);
  }

  /** Starts a process in the node that ends with it at the latest; `stdio` as Node's spawn takes it. */
  spawn(argv: readonly string[], stdio: StdioOptions): ChildProcess {
    const [file = '', ...args] = this.enter(argv);
    const child = spawn(file, args, { stdio, cwd: '/' });
    this.#companions.push(child);
    if (child.pid !== undefined) this.remember(child.pid);
    return child;
  }

  /** Lets a later run end this process should ours be killed. */
  remember(pid: number): void {
    writeFileSync(path.join(this.directory, 'pids', String(pid)), startTimeOf(pid));
  }

  mounts(): string[] {
    return mountsOf(this.pid);
  }

  /** Links and tables of the network namespace. */
  async network(): Promise<string[]> {
    const links = await this.run(['ip', '-o', 'link', 'show']);
    const rules = await this.run(['nft', 'list', 'tables']);
    const names = links.stdout.split('\n').map((line) => line.split(':')[1]?.trim().split('@')[0] ?? '');
    return [...names.map((name) => `link ${name}`), ...rules.stdout.split('\n').map((line) => `nft ${line}`)]
      .filter((line) => !/ $/.test(line))
      .sort();
  }

  cgroups(): string[] {
    return cgroupsOf(this.cgroupPrefix);
  }

  /** Ends whatever is left, by force, and removes every trace. */
  async destroy(): Promise<void> {
    await eventually('processes of the node are gone', () => {
      const groups = this.cgroups();
      for (const pid of pidsIn(groups)) kill(pid);
      removeCgroups(groups);
      return this.cgroups().length === 0;
    });
    await Promise.all([...this.#companions, this.#holder].map(endByForce));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Kills a child and waits until it is gone; one that has ended, or never began, is no error. */
export async function endByForce(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await ended;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
