import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs';
import path from 'node:path';

// What a runtime can leave on a machine, read from the outside.

const cgroupRoot = '/sys/fs/cgroup';

/** Every hierarchy's root: each controller's of version 1, and the unified one. */
export function cgroupHierarchies(): string[] {
  if (existsSync(path.join(cgroupRoot, 'cgroup.controllers'))) return [cgroupRoot];
  return readdirSync(cgroupRoot, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(cgroupRoot, entry.name))
    .filter((directory) => existsSync(path.join(directory, 'cgroup.procs')));
}

/** What the machine's own root groups are set to, as far as nobody but its owner has a say in it. */
export function rootGroupSettings(): string[] {
  const files = ['cgroup.clone_children', 'notify_on_release', 'cpuset.cpus', 'cpuset.mems', 'memory.use_hierarchy'];
  return cgroupHierarchies().flatMap((hierarchy) =>
    files.map((file) => `${path.join(hierarchy, file)}: ${read(path.join(hierarchy, file)).trim()}`),
  );
}

/** Directories of all control groups whose path has a component that starts with `prefix`, deepest first. */
export function cgroupsOf(prefix: string): string[] {
  const found: string[] = [];
  for (const hierarchy of cgroupHierarchies()) {
    for (const name of safeList(hierarchy)) {
      if (name.startsWith(prefix)) collect(path.join(hierarchy, name), found);
    }
  }
  return found;
}

function collect(directory: string, found: string[]): void {
  let children;
  try {
    children = readdirSync(directory, { withFileTypes: true });
  } catch {
    return;
  }
  for (const child of children) if (child.isDirectory()) collect(path.join(directory, child.name), found);
  found.push(directory);
}

export function removeCgroups(directories: readonly string[]): void {
  for (const directory of directories) {
    try {
      rmdirSync(directory);
    } catch {
      // Busy or gone: the caller looks again.
    }
  }
}

export function pidsIn(directories: readonly string[]): number[] {
  const pids = directories.flatMap((directory) =>
    read(path.join(directory, 'cgroup.procs')).split('\n').filter(Boolean).map(Number),
  );
  return [...new Set(pids)];
}

/** The children of all of a process's threads: one belongs to the thread that made it. */
export function childrenOf(pid: number): number[] {
  const tasks = safeList(`/proc/${pid}/task`);
  return tasks.flatMap((task) => read(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number));
}

/** Pids of processes of this machine for which `match` holds. */
export function processes(match: (process: ProcessInfo) => boolean): ProcessInfo[] {
  return safeList('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map((name) => new ProcessInfo(Number(name)))
    .filter(match);
}

/** A process as /proc shows it, read on demand. */
export class ProcessInfo {
  readonly pid: number;

  constructor(pid: number) {
    this.pid = pid;
  }

  get commandLine(): string {
    return read(`/proc/${this.pid}/cmdline`).replaceAll('\0', ' ').trim();
  }

  get name(): string {
    return read(`/proc/${this.pid}/comm`).trim();
  }

  /** It has ended, and only its parent has not taken note of that. */
  get isZombie(): boolean {
    return /\) [ZX] /.test(read(`/proc/${this.pid}/stat`));
  }

  get cgroups(): string {
    return read(`/proc/${this.pid}/cgroup`);
  }

  /** Tells two processes of the same pid apart. */
  get startTime(): string {
    return startTimeOf(this.pid);
  }

  namespace(kind: 'mnt' | 'net' | 'pid' | 'ipc' | 'uts'): string {
    return link(`/proc/${this.pid}/ns/${kind}`);
  }

  toString(): string {
    return `${this.pid} (${this.name}) ${this.commandLine}`;
  }
}

/** Field 22 of /proc/pid/stat, or "" when there is no such process or it is a zombie. */
export function startTimeOf(pid: number): string {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? '' : (fields[19] ?? '');
}

/** Mount points and kinds in the mount namespace of a process, one line each, without the ids that change. */
export function mountsOf(pid: number | 'self'): string[] {
  return read(`/proc/${pid}/mountinfo`)
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ');
      const [, , , root = '', point = ''] = before.split(' ');
      return `${point} ${root} ${after.split(' ').slice(0, 2).join(' ')}`;
    })
    .sort();
}

/**
 * A process's file descriptors by kind: "socket", "anon_inode:[eventpoll]", "/dev/null". Files of the database are left
 * out, which it opens and closes as it likes.
 */
export function fdsOf(pid: number): string[] {
  return (
    safeList(`/proc/${pid}/fd`)
      .map((fd) => link(`/proc/${pid}/fd/${fd}`))
      .filter((target) => target !== '' && !target.includes('/db/'))
      // A program that is built again while it runs is the same open file as before.
      .map((target) => target.replace(/ \(deleted\)$/, '').replace(/^(socket|pipe|net|mnt):\[\d+\]$/, '$1'))
      .sort()
  );
}

/** What is in `after` and not in `before`, each as often as it is more. */
export function added(before: readonly string[], after: readonly string[]): string[] {
  const count = new Map<string, number>();
  for (const item of before) count.set(item, (count.get(item) ?? 0) + 1);
  return after.filter((item) => {
    const left = count.get(item) ?? 0;
    count.set(item, left - 1);
    return left <= 0;
  });
}

function safeList(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function link(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}
