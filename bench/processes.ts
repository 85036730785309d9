import { readFileSync, readdirSync } from 'node:fs';
import type { BenchNode } from './node/bench-node.ts';

export interface ProcessMemory {
  readonly pid: number;
  readonly name: string;
  readonly pss: number;
  readonly privateKib: number;
  readonly sharedKib: number;
}

/** The processes of a group and all below it, by the pids of this machine. */
export function processesIn(node: BenchNode, group: string): readonly number[] {
  const [root] = node.groupDirs(group);
  const dirs = [root!, ...directoriesBelow(root!)];
  return dirs.flatMap((dir) => {
    try {
      return readFileSync(`${dir}/cgroup.procs`, 'utf8').split('\n').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

function directoriesBelow(dir: string): readonly string[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`);
}

/** Undefined for a process that is gone. */
export function memoryOf(pid: number): ProcessMemory | undefined {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const kib = (field: string): number => Number(new RegExp(`^${field}: +([0-9]+) kB$`, 'm').exec(rollup)?.[1] ?? 0);
    return {
      pid,
      name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim(),
      pss: kib('Pss'),
      privateKib: kib('Private_Clean') + kib('Private_Dirty'),
      sharedKib: kib('Shared_Clean') + kib('Shared_Dirty'),
    };
  } catch {
    return undefined;
  }
}
