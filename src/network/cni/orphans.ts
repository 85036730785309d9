import { readdir, readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import type { Ctx } from '#base/ctx';
import { sleep } from '#base/deadline';
import type { Addon } from '#linux/addon';
import { ownFd } from '#linux/own-fd';

export type OrphanAddon = Pick<Addon, 'pidfdOpen' | 'pidfdSendSignal' | 'close'>;

const key = 'CNI_CONTAINERID=';
const lookAgainMs = 5;

/**
 * Ends plugins, and the helpers they started, that an earlier berthd left at work for these pods: what an ADD still makes
 * after the DEL, nobody would undo. Rejects only when `ctx` ends first.
 */
export async function endOrphans(ctx: Ctx, addon: OrphanAddon, podIds: ReadonlySet<string>): Promise<void> {
  for (;;) {
    ctx.signal.throwIfAborted();
    const pids = await pluginsOf(podIds);
    if (pids.length === 0) return;
    ctx.log.warn({ pids }, 'ending network plugins that an earlier berthd started');
    for (const pid of pids) await end(addon, pid, podIds);
    // A helper may have been started between two looks.
    await sleep(lookAgainMs, ctx.signal);
  }
}

async function end(addon: OrphanAddon, pid: number, podIds: ReadonlySet<string>): Promise<void> {
  try {
    using pidfd = ownFd(addon, addon.pidfdOpen(pid));
    // The number may be another process's by now; the descriptor cannot become one's.
    if (await isPluginOf(pid, podIds)) addon.pidfdSendSignal(pidfd.number, constants.signals.SIGKILL);
  } catch {
    // It ended by itself.
  }
}

async function pluginsOf(podIds: ReadonlySet<string>): Promise<readonly number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (/^[0-9]+$/.test(name) && (await isPluginOf(Number(name), podIds))) found.push(Number(name));
  }
  return found;
}

/** By its environment, which its helpers inherit. That of one that has ended is empty. */
async function isPluginOf(pid: number, podIds: ReadonlySet<string>): Promise<boolean> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1');
    const start = environment.startsWith(key) ? 0 : environment.indexOf(`\0${key}`) + 1;
    return (
      (start > 0 || environment.startsWith(key)) &&
      podIds.has(environment.slice(start + key.length).split('\0', 1)[0] ?? '')
    );
  } catch {
    return false;
  }
}
