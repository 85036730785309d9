import { BerthError } from '#base/errors';
import type { StreamChoice } from '#runtime/streams';
import type { SandboxParts } from './parts.ts';
import type { Container } from './pod.ts';

/** @throws NOT_FOUND, FAILED_PRECONDITION when it does not run */
export function runningContainer(parts: SandboxParts, id: string, verb: string): Container {
  const container = parts.pods.getContainer(id);
  const { state } = container.status;
  if (state === 'running') return container;
  throw new BerthError('FAILED_PRECONDITION', `container ${container.id} is ${state}: ${verb} needs a running one`);
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
