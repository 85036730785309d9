import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { checkExecution } from '#runtime/exec-limits';
import type { RunningExec, StreamChoice, TerminalSize } from '#runtime/streams';
import { toBytes } from './container-env.ts';
import type { SandboxParts } from './parts.ts';
import { specOf } from './specs.ts';
import { answeringContainer, checkStreams, orItsEnd, runningContainer } from './stream-checks.ts';

export interface ExecRequest extends StreamChoice {
  readonly containerId: string;
  readonly command: readonly string[];
}

/**
 * What can be said before the client has connected. Gives the request with the container's whole id.
 *
 * @throws INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION
 */
export function checkExec(parts: SandboxParts, request: ExecRequest): ExecRequest {
  checkStreams(request);
  if (request.command.length === 0) throw new BerthError('INVALID_ARGUMENT', 'exec needs a command');
  const container = runningContainer(parts, request.containerId, 'exec');
  checkExecution({ ...specOf(parts, container).process, args: request.command.map(toBytes) });
  return { ...request, containerId: container.id };
}

/**
 * Starts the command. `ctx` covers the start alone. Between the check and now the container may have ended.
 *
 * @param size of its terminal from the first moment on, if it is known
 */
export async function exec(
  parts: SandboxParts,
  ctx: Ctx,
  request: ExecRequest,
  size?: TerminalSize,
): Promise<RunningExec> {
  const container = await answeringContainer(parts, ctx, request.containerId, 'exec');
  const { stdin, stdout, stderr, tty } = request;
  const started = parts.runtime.exec(ctx, container.podId, container.id, {
    ...{ stdin, stdout, stderr, tty },
    args: request.command.map(toBytes),
    spec: specOf(parts, container),
    ...(size ? { size } : {}),
  });
  return orItsEnd(container, 'exec', started);
}
