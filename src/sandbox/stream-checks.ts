import type { Ctx } from '#base/ctx';
import { sleep } from '#base/deadline';
import { BerthError, isBerthError } from '#base/errors';
import type { StreamChoice } from '#runtime/streams';
import { type SandboxParts, untilAnswered } from './parts.ts';
import type { Container } from './pod.ts';

/** How long an exit may take from the shim into the store. */
const recordedMs = 500;

/** @throws NOT_FOUND, FAILED_PRECONDITION when it does not run */
export function runningContainer(parts: SandboxParts, id: string, verb: string): Container {
  const container = parts.pods.getContainer(id);
  if (container.status.state === 'running') return container;
  throw notRunning(container, verb);
}

function notRunning({ id, status }: Container, verb: string): BerthError {
  const { state, exitCode, reason } = status;
  const how = state === 'exited' ? ` (${reason}, exit code ${exitCode})` : '';
  return new BerthError('FAILED_PRECONDITION', `container ${id} is ${state}${how}: ${verb} needs a running one`);
}

const endings: ReadonlySet<string> = new Set(['SHIM_DIED', 'KERNEL', 'NOT_FOUND']);

/**
 * What a command meets whose container ends meanwhile: its end, in whatever way that was noticed. Where the shim went with
 * the pod, its exit may still be on its way into the record.
 */
export async function orItsEnd<T>(container: Container, verb: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isBerthError(error) || !endings.has(error.code)) throw error;
    await Promise.race([container.exited.promise, sleep(recordedMs)]);
    throw container.status.state === 'exited' ? notRunning(container, verb) : error;
  }
}

/** As runningContainer, when its shim answers. */
export async function answeringContainer(parts: SandboxParts, ctx: Ctx, id: string, verb: string): Promise<Container> {
  await untilAnswered(ctx, parts.pods.pod(runningContainer(parts, id, verb).podId));
  return runningContainer(parts, id, verb);
}

/** A terminal has one output, and a conversation without any stream is none. @throws INVALID_ARGUMENT */
export function checkStreams({ stdin, stdout, stderr, tty }: StreamChoice): void {
  if (tty && stderr) {
    throw new BerthError('INVALID_ARGUMENT', 'tty and stderr cannot both be asked for: a terminal has one output');
  }
  if (!stdin && !stdout && !stderr) {
    throw new BerthError('INVALID_ARGUMENT', 'one of stdin, stdout and stderr must be asked for');
  }
}
