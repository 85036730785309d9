import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { Conversation, requireFeature, resizeTerminal } from './conversation.ts';
import { type RuntimeParts, shimOf } from './runtime-parts.ts';
import type { Attachment, AttachOptions } from './streams.ts';

/** Joins the streams of a container's first process. */
export async function attach(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  containerId: string,
  options: AttachOptions,
): Promise<Attachment> {
  const doing = `attach to container ${containerId}`;
  const shim = shimOf(parts, podId);
  requireFeature(shim, 'attach', doing);
  const ended = Promise.withResolvers<{ readonly slow: boolean }>();
  ended.promise.catch(() => undefined);
  const conversation = new Conversation(parts, shim, {
    doing,
    choice: options,
    request: { attach: { container_id: containerId } },
    onEvent: ({ attach_ended: end }) => {
      if (!end) return;
      // What was delivered to the pipes is still to be read from them; who was cut for not reading will not.
      const read = end.slow ? Promise.resolve() : conversation.streams.ended();
      read.then(() => ended.resolve({ slow: end.slow }), ended.reject);
    },
    onGone: () => ended.reject(new BerthError('SHIM_DIED', `${doing}: the shim of pod ${podId} is gone`)),
  });
  await conversation.begun(doing, ctx.signal);
  return {
    streams: conversation.streams,
    ended: ended.promise,
    resize: async (size) => {
      if (options.tty) await resizeTerminal(shim, { container_id: containerId }, size);
    },
    [Symbol.asyncDispose]: async () => conversation[Symbol.dispose](),
  };
}
