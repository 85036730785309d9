import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { checkExecution } from '#runtime/exec-limits';
import type { ExecResult } from '#runtime/runtime';
import { toBytes } from './container-env.ts';
import type { SandboxParts } from './parts.ts';
import { specOf } from './specs.ts';
import { answeringContainer, orItsEnd } from './stream-checks.ts';

/** Go clients receive no message over 16 MiB; the rest is for the frame around the output. */
const outputLimit = 16 * 1024 * 1024 - 64 * 1024;

export interface ExecSyncRequest {
  readonly containerId: string;
  readonly command: readonly string[];
  /** 0: as long as it takes. */
  readonly timeoutMs: number;
}

/** Runs a command in a running container. @throws DEADLINE_EXCEEDED when its time is over: it was killed */
export async function execSync(parts: SandboxParts, ctx: Ctx, request: ExecSyncRequest): Promise<ExecResult> {
  if (request.command.length === 0) throw new BerthError('INVALID_ARGUMENT', 'exec needs a command');
  const container = await answeringContainer(parts, ctx, request.containerId, 'exec');
  const args = request.command.map(toBytes);
  const spec = specOf(parts, container);
  checkExecution({ ...spec.process, args });
  const { timeoutMs } = request;
  const input = { args, timeoutMs, outputLimit, spec, startTimeoutMs: parts.timeouts.startContainerMs };
  const running = parts.runtime.execSync(ctx, container.podId, container.id, input);
  const result = await orItsEnd(container, 'exec', running);
  if (result.timedOut) {
    throw new BerthError(
      'DEADLINE_EXCEEDED',
      `command ${JSON.stringify(request.command[0])} in container ${container.id} did not end in ${request.timeoutMs} ms and was killed: context deadline exceeded${hanging(result)}`,
    );
  }
  return result;
}

function hanging({ hangingPid }: ExecResult): string {
  if (hangingPid === undefined) return '';
  return `; its process ${hangingPid} does not end: it waits in the kernel, as for a volume that does not answer`;
}
