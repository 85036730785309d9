import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// A pod's control group is the kubelet's: it makes it before RunPodSandbox and removes it after RemovePodSandbox. Here
// the benchmark does, for all runtimes alike. With control groups v2 the runtimes make what is missing.

const root = '/sys/fs/cgroup';

/** The v1 hierarchies; a symbolic link is a second name of a joint one. */
const hierarchies = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(path.join(root, entry.name, 'tasks')))
  .map((entry) => path.join(root, entry.name));

export function makePodGroup(group: string): void {
  for (const hierarchy of hierarchies) {
    mkdirSync(path.join(hierarchy, group), { recursive: true });
    if (path.basename(hierarchy) === 'cpuset') inheritCpuset(hierarchy, group);
  }
}

/** A cpuset is born empty, and takes no process before it has processors and memory. */
function inheritCpuset(hierarchy: string, group: string): void {
  const parent = path.dirname(group);
  if (parent !== '/') inheritCpuset(hierarchy, parent);
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const own = path.join(hierarchy, group, file);
    if (readFileSync(own, 'utf8').trim() !== '') continue;
    writeFileSync(own, readFileSync(path.join(hierarchy, parent, file)));
  }
}

export async function removePodGroup(group: string): Promise<void> {
  for (const hierarchy of hierarchies) await removeDirectory(path.join(hierarchy, group));
}

async function removeDirectory(directory: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      rmdirSync(directory);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      if (tries === 100) throw error;
      await sleep(5);
    }
  }
}
