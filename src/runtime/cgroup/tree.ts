import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { sleep } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { Addon, FileOperation, FileResult } from '#linux/addon';
import { isTolerated } from './any-length.ts';

/** Work on cgroup directories that is the same for both versions. */

const maxDepth = 32;
const listLimit = 1024 * 1024;
/** Room for more processes than a machine can have. */
const processesLimit = 64 * 1024 * 1024;
/** How long the killed may take to be gone before they are killed once more; doubled each time. */
const firstPatienceMs = 200;
const longestPatienceMs = 5_000;

/** All directories below `top`, deepest first. Missing: none. */
export async function directoriesBelow(addon: Pick<Addon, 'batch'>, top: string): Promise<string[]> {
  const levels: string[][] = [];
  let level = [top];
  while (level.length > 0 && levels.length < maxDepth) {
    const results = await addon.batch(
      level.map((directory): FileOperation => ({ op: 'list', path: directory, limit: listLimit, optional: true })),
    );
    const next: string[] = [];
    for (const [at, result] of results.entries()) {
      const names = (result.data ?? '').split('\n').filter((name) => name !== '');
      for (const name of names) next.push(path.join(level[at] ?? '', name));
    }
    levels.unshift(next);
    level = next;
  }
  return levels.flat();
}

/** Pids in the directory and below. */
export async function pidsIn(addon: Addon, directory: string): Promise<number[]> {
  // Most groups have none below: one trip says so and who is in it.
  const [inside, here] = await addon.batch([
    { op: 'list', path: directory, limit: listLimit, optional: true },
    readPids(directory),
  ]);
  if ((inside?.data ?? '') === '') return parsePids(here);
  const directories = [directory, ...(await directoriesBelow(addon, directory))];
  return (await addon.batch(directories.map(readPids))).flatMap(parsePids);
}

function readPids(directory: string): FileOperation {
  return { op: 'read', path: path.join(directory, 'cgroup.procs'), limit: processesLimit, optional: true };
}

function parsePids(result: FileResult | undefined): number[] {
  return (result?.data ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

/** First failure of a batch, with the operation it belongs to. */
export function firstFailure(
  operations: readonly FileOperation[],
  results: readonly FileResult[],
): { readonly operation: FileOperation; readonly error: string } | undefined {
  for (const [at, result] of results.entries()) {
    const operation = operations[at];
    if (operation === undefined || result.error === undefined || isTolerated(operation, result.error)) continue;
    return { operation, error: result.error };
  }
  return undefined;
}

/** What the kernel says to a value that makes no sense, rather than to one that does not fit now. */
const senseless = new Set(['EINVAL', 'ERANGE', 'EOVERFLOW']);

function isSenseless(operation: FileOperation, error: string): boolean {
  // Into these files we write what the request has no say in.
  const isOurs = /^(cgroup|freezer)\./.test(path.basename(operation.path));
  return operation.op === 'write' && senseless.has(error) && !isOurs;
}

/** What was asked for when a kernel's file refuses a value that looks right: it is this node's to say. */
const meanings: Readonly<Record<string, string>> = {
  'cpuset.cpus': 'cpuset_cpus has processors that this node does not have, or does not give to pods: ',
  'cpuset.mems': 'cpuset_mems has memory nodes that this node does not have, or does not give to pods: ',
  'memory.limit_in_bytes': 'memory_limit_in_bytes is refused by this kernel: ',
  'memory.memsw.limit_in_bytes': 'memory_swap_limit_in_bytes is refused: it may not be below memory_limit_in_bytes: ',
  'cpu.cfs_quota_us': 'cpu_quota is more of cpu_period than the group above has: ',
  'cpu.cfs_period_us': 'cpu_period makes cpu_quota more than the group above has: ',
};

export function failure(operation: FileOperation, error: string): BerthError {
  const pageSize = /^hugetlb\.([0-9]+[KMG]B)\./.exec(path.basename(operation.path))?.[1];
  if (pageSize !== undefined && (error === 'ENOENT' || error === 'EOPNOTSUPP')) {
    return new BerthError('INVALID_ARGUMENT', `hugepage_limits: this node has no huge pages of ${pageSize}`);
  }
  const full = error === 'ENOSPC' && operation.op === 'mkdir';
  const code = full ? 'RESOURCE_EXHAUSTED' : isSenseless(operation, error) ? 'INVALID_ARGUMENT' : 'KERNEL';
  const value = operation.op === 'write' ? ` "${operation.data}"` : '';
  const meant = code === 'INVALID_ARGUMENT' ? (meanings[path.basename(operation.path)] ?? '') : '';
  return new BerthError(code, `${meant}cgroup: ${operation.op}${value} ${operation.path}: ${error}`, {
    details: { step: 'cgroup', path: operation.path, errno: error },
  });
}

/** rmdir of the directories and of what is below them; a group whose last process is still dying is waited for. */
export async function removeDirectories(addon: Addon, ctx: Ctx, directories: readonly string[]): Promise<void> {
  let left: readonly string[] = directories;
  for (let pause = 0; ; pause = Math.min(pause * 2 + 1, 50)) {
    const operations = left.map((each): FileOperation => ({ op: 'rmdir', path: each, optional: true }));
    const results = await addon.batch(operations);
    const busy = left.filter((_each, at) => {
      const error = results[at]?.error;
      return error !== undefined && error !== 'ENOENT' && error !== 'ENODEV';
    });
    if (busy.length === 0) return;
    const below = (await Promise.all(busy.map((each) => directoriesBelow(addon, each)))).flat();
    if (ctx.signal.aborted) {
      throw new BerthError('KERNEL', `cgroup ${busy[0] ?? ''} cannot be removed: it still has processes`, {
        details: { step: 'cgroup', path: busy[0] ?? '', errno: 'EBUSY' },
      });
    }
    // Groups inside are tried at once, but only the first time: one that stays busy must not be asked in a tight loop.
    if (below.length === 0 || pause > 0) await sleep(Math.max(1, pause), ctx.signal);
    left = [...new Set([...below, ...busy])];
  }
}

/**
 * Runs `kill` until nobody is left. Thousands need their time to die: it is run again only when that has passed, for who
 * has come in meanwhile.
 */
export async function killUntilEmpty(
  addon: Addon,
  ctx: Ctx,
  directory: string,
  kill: () => Promise<void>,
): Promise<void> {
  let patience = firstPatienceMs;
  let killAgainAt = 0;
  for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
    const pids = await pidsIn(addon, directory);
    if (pids.length === 0) return;
    if (ctx.signal.aborted) {
      throw new BerthError(
        'DEADLINE_EXCEEDED',
        `processes ${pids.slice(0, 5).join(', ')} in cgroup ${directory} do not die`,
      );
    }
    if (performance.now() >= killAgainAt) {
      await kill();
      killAgainAt = performance.now() + patience;
      patience = Math.min(patience * 2, longestPatienceMs);
    }
    await sleep(pause, ctx.signal).catch(() => undefined);
  }
}

/** The path of the hierarchy whose controllers `wanted` takes, in the text of a /proc/<pid>/cgroup. */
export function groupIn(text: string, wanted: (controllers: string) => boolean): string | undefined {
  for (const line of text.split('\n')) {
    const [, controllers, ...rest] = line.split(':');
    if (controllers !== undefined && wanted(controllers)) return rest.join(':');
  }
  return undefined;
}
