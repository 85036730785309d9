import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { sleep } from '#base/deadline';
import type { Addon, FileOperation } from '#linux/addon';
import { directoriesBelow, firstFailure, failure } from './tree.ts';

/** Then somebody does not freeze (a process in uninterruptible sleep): the rest is killed as it moves. */
const freezeMs = 2_000;
const longestPauseMs = 50;
/** Directories in one batch: each may hold thousands of processes. */
const directoriesAtOnce = 16;

type Batch = Pick<Addon, 'batch'>;

/**
 * Kills everybody in a v1 group and below it, once. Frozen, nobody can fork away between the list and the signal, or hand
 * its number on; without a freezer, or where somebody does not freeze, each process is held and looked at first. Whatever
 * happens, nothing is left frozen, also not what a container has frozen itself.
 */
export async function freezeAndKill(addon: Batch, ctx: Ctx, directory: string): Promise<void> {
  const frozen = await freeze(addon, ctx, directory);
  const directories = [directory, ...(await directoriesBelow(addon, directory))];
  try {
    for (let at = 0; at < directories.length; at += directoriesAtOnce) {
      const operations = directories
        .slice(at, at + directoriesAtOnce)
        .map((each): FileOperation => ({ op: 'kill', path: each, held: !frozen, optional: ['ENOENT', 'ENODEV'] }));
      const failed = firstFailure(operations, await addon.batch(operations));
      if (failed) throw failure(failed.operation, failed.error);
    }
  } finally {
    await thaw(addon, directories);
  }
}

/** True when all of it stands still. */
async function freeze(addon: Batch, ctx: Ctx, directory: string): Promise<boolean> {
  const state = path.join(directory, 'freezer.state');
  const [written] = await addon.batch([{ op: 'write', path: state, data: 'FROZEN', optional: true }]);
  if (written?.error !== undefined) return false;
  const until = performance.now() + freezeMs;
  for (let pause = 1; ; pause = Math.min(pause * 2, longestPauseMs)) {
    const [read] = await addon.batch([{ op: 'read', path: state, limit: 64, optional: true }]);
    if (read?.data?.trim() === 'FROZEN') return true;
    if (read?.error !== undefined || performance.now() >= until || ctx.signal.aborted) return false;
    await sleep(pause, ctx.signal).catch(() => undefined);
  }
}

async function thaw(addon: Batch, directories: readonly string[]): Promise<void> {
  await addon.batch(
    directories.map((each): FileOperation => ({
      op: 'write',
      path: path.join(each, 'freezer.state'),
      data: 'THAWED',
      optional: true,
    })),
  );
}
