import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cgroupHierarchies, cgroupsOf, pidsIn, removeCgroups } from '../../e2e/harness/machine.ts';
import { eventually } from '../../e2e/harness/wait.ts';

const prefix = 'berth-fresh-';

/** Makes control groups of that name, one in each hierarchy. */
export function makeGroups(name: string): void {
  for (const hierarchy of cgroupHierarchies()) {
    const group = path.join(hierarchy, name);
    mkdirSync(group);
    // A version 1 cpuset without both takes no process.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (!existsSync(path.join(group, file)) || existsSync(path.join(group, 'cgroup.controllers'))) continue;
      writeFileSync(path.join(group, file), readFileSync(path.join(hierarchy, file)));
    }
  }
}

/** The name says whose it is: a later run removes what a killed one left. */
export function groupName(release: string): string {
  return `${prefix}${process.pid}-${release}`;
}

/** Ends what still runs in the groups and removes them with everything below. */
export async function removeGroups(name: string): Promise<void> {
  await eventually(`control groups ${name} are gone`, () => {
    const groups = cgroupsOf(name);
    for (const pid of pidsIn(groups)) process.kill(pid, 'SIGKILL');
    removeCgroups(groups);
    return groups.length === 0;
  });
}

export async function removeDeadGroups(): Promise<void> {
  for (const hierarchy of cgroupHierarchies()) {
    for (const name of readdirSync(hierarchy)) {
      const owner = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
      if (owner !== undefined && !existsSync(`/proc/${owner}`)) await removeGroups(name);
    }
  }
}
