import type { Duplex } from 'node:stream';
import type { Ctx } from '#base/ctx';
import type { AttachRequest } from '#sandbox/attach';
import type { ExecRequest } from '#sandbox/exec';
import type { PortForwardRequest } from '#sandbox/port-forward';
import type { Sandboxes } from '#sandbox/sandboxes';

/** What a client of the CRI has asked for, and whoever holds its URL may now do, once. */
export type StreamOffer =
  | { readonly kind: 'exec'; readonly request: ExecRequest }
  | { readonly kind: 'attach'; readonly request: AttachRequest }
  | { readonly kind: 'portforward'; readonly request: PortForwardRequest };

export type StreamKind = StreamOffer['kind'];

/** Where the calls get their answer. */
export interface StreamUrls {
  /** @throws RESOURCE_EXHAUSTED, FAILED_PRECONDITION when there is no streaming server */
  urlOf(offer: StreamOffer): string;
}

/** What the streaming server needs of the sandboxes. */
export type Conversations = Pick<Sandboxes, 'exec' | 'attach'> & {
  dialPod(ctx: Ctx, podId: string, port: number): Promise<Duplex>;
};

/** Which pod or container an offer is about, for the log. */
export function idsOf(offer: StreamOffer): Readonly<Record<string, string>> {
  return offer.kind === 'portforward' ? { podId: offer.request.podId } : { containerId: offer.request.containerId };
}
