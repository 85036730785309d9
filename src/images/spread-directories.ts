import type { Ctx } from '#base/ctx';
import { errnoOf, messageOf } from '#base/errors';
import type { ProcessAddon } from '#linux/run-process';
import { runProcess } from '#linux/run-process';

const chattr = '/usr/bin/chattr';

/**
 * Has ext4 treat the directory as it treats its own root: what is made in it begins in a part of the disk of its own.
 * Layers that are unpacked at once are then not in each other's way, and a new one is not where another was just removed,
 * which costs an ext4 without a journal ten times the time. Other file systems do not know of it, and need not.
 */
export async function spreadDirectories(ctx: Ctx, addon: ProcessAddon, directory: string): Promise<void> {
  try {
    const argv = ['chattr', '+T', directory];
    const { code, stderr } = await runProcess(ctx, addon, { path: chattr, argv, env: [], limit: 4096 });
    if (code !== 0) ctx.log.debug({ directory, stderr }, 'the file system does not spread directories');
  } catch (error) {
    ctx.signal.throwIfAborted();
    ctx.log.debug({ directory, errno: errnoOf(error), reason: messageOf(error) }, `could not run ${chattr}`);
  }
}
