import { readdir, readFile } from 'node:fs/promises';
import type { Cgroups } from './cgroup/cgroups.ts';

/** A process that descends from a shim. */
export interface SeenProcess {
  readonly pid: number;
  /** The pod of that shim. */
  readonly podId: string;
  readonly group: string;
}

/** PF_EXITING among the flags of /proc/PID/stat (include/linux/sched.h). */
const exitingFlag = 0x4;

/** Processes read at once. */
const batchSize = 64;

/**
 * All living descendants of shims, as /proc shows them at this moment: a shim is the subreaper of whatever its containers
 * leave behind, so that nothing escapes it but by the shim's death.
 *
 * @param roots pids of shims with the ids of their pods
 */
export async function lookAtProcesses(
  cgroups: Pick<Cgroups, 'groupOf'>,
  roots: ReadonlyMap<number, string>,
  proc = '/proc',
): Promise<readonly SeenProcess[]> {
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map<number, number>();
  await inBatches(pids, async (pid) => {
    const parent = parentIn(await read(`${proc}/${pid}/stat`));
    if (parent !== undefined) parents.set(pid, parent);
  });
  const below = pids.filter((pid) => !roots.has(pid)).map((pid) => ({ pid, podId: podOf(pid, parents, roots) }));
  const seen: SeenProcess[] = [];
  await inBatches(below, async ({ pid, podId }) => {
    if (podId === undefined) return;
    const group = cgroups.groupOf(await read(`${proc}/${pid}/cgroup`));
    // Asked last: a process that was exiting when its group was read is exiting still, or gone.
    if (group !== undefined && !(await isExiting(pid, proc))) seen.push({ pid, podId, group });
  });
  return seen.toSorted((one, other) => one.pid - other.pid);
}

function parentIn(stat: string): number | undefined {
  const parent = Number(fieldsOf(stat)[1]);
  return Number.isInteger(parent) ? parent : undefined;
}

/**
 * A process that has ended or is about to, zombies too: every v1 hierarchy then says that it is in "/" (proc_cgroup_show
 * of the kernel), which is no group that it is in.
 */
async function isExiting(pid: number, proc: string): Promise<boolean> {
  const flags = Number(fieldsOf(await read(`${proc}/${pid}/stat`))[6]);
  return !Number.isInteger(flags) || (flags & exitingFlag) !== 0;
}

/** What follows the name, which stands in parentheses and may have spaces and parentheses (proc(5)). */
function fieldsOf(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function podOf(
  pid: number,
  parents: ReadonlyMap<number, number>,
  roots: ReadonlyMap<number, string>,
): string | undefined {
  // What was read while numbers were handed on may be a ring.
  let at: number | undefined = pid;
  for (let steps = 0; at !== undefined && at > 1 && steps < parents.size; steps++) {
    const pod = roots.get(at);
    if (pod !== undefined) return pod;
    at = parents.get(at);
  }
  return undefined;
}

/** Of a process that has ended: nothing. */
async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}

async function inBatches<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < all.length; at += batchSize) await Promise.all(all.slice(at, at + batchSize).map(work));
}
