import type { Duplex } from 'node:stream';
import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { type SandboxParts, untilAnswered } from './parts.ts';
import type { Pod } from './pod.ts';

export interface PortForwardRequest {
  readonly podId: string;
  /** Only clients of the old WebSocket form name them here; the others name a port with each stream. */
  readonly ports: readonly number[];
}

/** As many as a kubectl user would ever name. */
const portLimit = 64;

/**
 * What can be said before the client has connected. Gives the request with the pod's whole id.
 *
 * @throws INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION
 */
export function checkPortForward(parts: SandboxParts, request: PortForwardRequest): PortForwardRequest {
  const wrong = request.ports.find((port) => !isPort(port));
  if (wrong !== undefined) throw new BerthError('INVALID_ARGUMENT', `${wrong} is not a port: expected 1 to 65535`);
  if (request.ports.length > portLimit) {
    throw new BerthError('INVALID_ARGUMENT', `${request.ports.length} ports in one request: at most ${portLimit}`);
  }
  return { ...request, podId: readyPod(parts, request.podId).id };
}

/** Connects to a port on the loopback of the pod's network. @throws UNAVAILABLE when nobody listens */
export async function dialPod(parts: SandboxParts, ctx: Ctx, podId: string, port: number): Promise<Duplex> {
  await untilAnswered(ctx, readyPod(parts, podId));
  return parts.runtime.dial(ctx, readyPod(parts, podId).id, port);
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function readyPod(parts: SandboxParts, id: string): Pod {
  const pod = parts.pods.getPod(id);
  if (pod.status.state === 'ready') return pod;
  throw new BerthError('FAILED_PRECONDITION', `pod ${pod.id} is not ready: port forwarding needs a running one`);
}
