import { readdirSync } from 'node:fs';
import path from 'node:path';
import { output, run } from '../../e2e/harness/command.ts';
import { added, cgroupsOf, mountsOf, processes, type ProcessInfo } from '../../e2e/harness/machine.ts';

/** What a run may not change on the machine; each entry is one thing, by name. */
export interface Traces {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly namespaces: readonly string[];
  readonly cgroups: readonly string[];
  readonly links: readonly string[];
  readonly nftables: readonly string[];
  readonly files: readonly string[];
}

export interface TraceNames {
  /** Beginning of the names of this run's control groups, and part of the names of all its files. */
  readonly cgroup: string;
  /** Directories of this run. */
  readonly directories: readonly string[];
}

const whereFilesMayBe = ['/run', '/tmp', '/var/tmp', '/var/lib', '/var/log', '/dev/shm', '/etc'];

/**
 * Looks at the machine. Links, tables and named namespaces are compared as a whole; of processes, mounts and files only
 * what has the names of this run, because others come and go on a living machine, other Berths among them.
 */
export async function readTraces(names: TraceNames): Promise<Traces> {
  const ours = processes((each) => each.pid !== process.pid && isOfRun(each, names));
  const links = await output(['ip', '-o', 'link', 'show']);
  const tables = await run(['nft', 'list', 'tables']);
  return {
    processes: ours.map(String),
    mounts: mountsOf('self').filter((mount) => names.directories.some((directory) => mount.includes(directory))),
    namespaces: [...new Set(ours.map((process) => process.namespace('net'))), ...list('/run/netns')],
    cgroups: cgroupsOf(names.cgroup),
    links: links.split('\n').map((line) => line.split(':')[1]?.trim().split('@')[0] ?? ''),
    nftables: tables.stdout.split('\n'),
    files: whereFilesMayBe.flatMap((directory) =>
      list(directory)
        .filter((name) => name.includes(names.cgroup))
        .map((name) => path.join(directory, name)),
    ),
  };
}

/** Of this run, and not only dead: a zombie is its parent's affair, other Berths are others'. */
export function isOfRun(
  { commandLine, cgroups, isZombie }: Pick<ProcessInfo, 'commandLine' | 'cgroups' | 'isZombie'>,
  names: TraceNames,
): boolean {
  if (isZombie) return false;
  return cgroups.includes(`/${names.cgroup}`) || names.directories.some((directory) => commandLine.includes(directory));
}

/** "mount: …" for everything that was not there before. */
export function newTraces(before: Traces, after: Traces): string[] {
  return (Object.keys(before) as (keyof Traces)[]).flatMap((kind) =>
    added(before[kind], after[kind]).map((item) => `${kind}: ${item}`),
  );
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
