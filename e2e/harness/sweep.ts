import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { cgroupsOf, pidsIn, removeCgroups, startTimeOf } from './machine.ts';
import { eventually } from './wait.ts';

let swept: Promise<void> | undefined;

/** Removes what earlier runs left that were killed, once a process. Runs whose owner lives are not touched. */
export function sweep(): Promise<void> {
  swept ??= sweepAll();
  return swept;
}

async function sweepAll(): Promise<void> {
  for (const name of readdirSync('/tmp')) {
    const id = /^b([0-9a-f]{5})$/.exec(name)?.[1];
    if (id !== undefined) await sweepOne(id, path.join('/tmp', name));
  }
}

async function sweepOne(id: string, directory: string): Promise<void> {
  const owner = read(path.join(directory, 'owner'));
  if (owner === undefined || isAlive(owner)) return;
  const pidFiles = path.join(directory, 'pids');
  for (const pid of list(pidFiles)) {
    const started = read(path.join(pidFiles, pid));
    if (started !== undefined && started !== '' && startTimeOf(Number(pid)) === started) kill(Number(pid));
  }
  const prefix = `berth-e2e-${id}`;
  await eventually(`control groups ${prefix} of an earlier run are gone`, () => {
    const groups = cgroupsOf(prefix);
    for (const pid of pidsIn(groups)) kill(pid);
    removeCgroups(groups);
    return groups.length === 0;
  });
  rmSync(directory, { recursive: true, force: true });
}

function isAlive(owner: string): boolean {
  const [pid = '', started = ''] = owner.trim().split(' ');
  return started !== '' && startTimeOf(Number(pid)) === started;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
