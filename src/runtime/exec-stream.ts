import { randomBytes } from 'node:crypto';
import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { boundedSize, Conversation, killExec, requireFeature, resizeTerminal } from './conversation.ts';
import { execProcess } from './exec-process.ts';
import { type RuntimeParts, shimOf } from './runtime-parts.ts';
import type { ExecOptions, RunningExec } from './streams.ts';

/** How long the output of a command that has ended may be silent before it counts as ended too. */
const idleMs = 500;

/** Starts a command in a container and gives its streams. */
export async function exec(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  containerId: string,
  options: ExecOptions,
): Promise<RunningExec> {
  const doing = `exec in container ${containerId}`;
  const shim = shimOf(parts, podId);
  const { tty } = options;
  if (tty) requireFeature(shim, 'tty-exec', doing);
  const size = (options.size && boundedSize(options.size)) ?? 'unsized';
  const process = await execProcess(parts, options.spec, options.args, tty ? size : undefined);
  const execId = randomBytes(8).toString('hex');
  const exited = Promise.withResolvers<{ readonly exitCode: number }>();
  exited.promise.catch(() => undefined);
  const conversation = new Conversation(parts, shim, {
    doing,
    choice: options,
    request: { exec: { container_id: containerId, exec_id: execId, process, timeout_ms: 0, tty } },
    onEvent: ({ exec_exited: exit }) => {
      if (!exit) return;
      exited.resolve({ exitCode: exit.exit_code });
      conversation.streams.drain(idleMs);
    },
    onGone: () => exited.reject(new BerthError('SHIM_DIED', `${doing}: the shim of pod ${podId} is gone`)),
  });
  try {
    await conversation.begun(doing, ctx.signal);
  } catch (error) {
    if (ctx.signal.aborted) await killExec(shim, execId);
    throw error;
  }
  return {
    streams: conversation.streams,
    exited: exited.promise,
    resize: async (size) => {
      if (tty) await resizeTerminal(shim, { exec_id: execId }, size);
    },
    kill: () => killExec(shim, execId),
    [Symbol.asyncDispose]: async () => conversation[Symbol.dispose](),
  };
}
