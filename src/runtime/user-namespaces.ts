import { createCtx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { messageOf } from '#base/errors';
import type { Logger } from '#base/log';
import { type ProcessAddon, runProcess } from '#linux/run-process';

const patienceMs = 10_000;

/**
 * Whether pods can have users of their own here: the shim tries it, as a kernel's version says too little. Never throws:
 * what cannot be tried cannot be had.
 */
export async function hasUserNamespaces(addon: ProcessAddon, shimBinary: string, log: Logger): Promise<boolean> {
  using deadline = new Deadline(patienceMs, 'trying user namespaces');
  try {
    const argv = ['berth-shim', '--can-map-users'];
    const ctx = createCtx({ signal: deadline.signal, log });
    const { code } = await runProcess(ctx, addon, { path: shimBinary, argv, env: [], limit: 4096 });
    return code === 0;
  } catch (error) {
    log.warn({ err: messageOf(error) }, 'could not try user namespaces: pods cannot have users of their own');
    return false;
  }
}
