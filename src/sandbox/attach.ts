import type { Ctx } from '#base/ctx';
import type { Attachment, StreamChoice } from '#runtime/streams';
import type { SandboxParts } from './parts.ts';
import { answeringContainer, checkStreams, orItsEnd, runningContainer } from './stream-checks.ts';

export interface AttachRequest extends StreamChoice {
  readonly containerId: string;
}

/** As checkExec. */
export function checkAttach(parts: SandboxParts, request: AttachRequest): AttachRequest {
  checkStreams(request);
  return { ...request, containerId: runningContainer(parts, request.containerId, 'attach').id };
}

/**
 * Joins the container's own streams. Whether there is a terminal and a stdin is the container's config to say, not the
 * client's: what the container does not have is left out.
 */
export async function attach(parts: SandboxParts, ctx: Ctx, request: AttachRequest): Promise<Attachment> {
  const container = await answeringContainer(parts, ctx, request.containerId, 'attach');
  const { config } = container.identity;
  const joined = parts.runtime.attach(ctx, container.podId, container.id, {
    stdin: request.stdin && config.stdin,
    stdout: request.stdout,
    stderr: request.stderr && !config.tty,
    tty: config.tty,
  });
  return orItsEnd(container, 'attach', joined);
}
