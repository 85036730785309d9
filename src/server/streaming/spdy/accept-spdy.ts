import type { Duplex } from 'node:stream';
import { chooseProtocol, listOf, refuse, type Upgrade } from '../upgrade.ts';

/**
 * Newest first. Servers of version 1, the last, reset the stream of errors before anything was said on it and did not wait
 * for the end of stdin; nothing in its clients asks for that, and it is served as version 2.
 */
export const commandProtocols = [
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
  'channel.k8s.io',
] as const;
export type CommandProtocol = (typeof commandProtocols)[number];

export const portForwardProtocols = ['portforward.k8s.io'] as const;

/** Switches to SPDY/3.1, speaking the first of the client's protocols that we know. Undefined: it was refused. */
export function acceptSpdy<P extends string>(
  upgrade: Upgrade,
  ours: readonly P[],
): { readonly socket: Duplex; readonly protocol: P } | undefined {
  const { request, socket, head } = upgrade;
  const wanted = request.headers['x-stream-protocol-version'];
  if (listOf(wanted).length === 0) {
    refuse(upgrade, 400, 'the request names no protocol: X-Stream-Protocol-Version is missing');
    return undefined;
  }
  const protocol = chooseProtocol(wanted, ours) as P | undefined;
  if (protocol === undefined) {
    const sentence = `no protocol in common: you speak ${listOf(wanted).join(', ')}, we ${ours.join(', ')}`;
    refuse(upgrade, 403, sentence, { 'X-Accepted-Stream-Protocol-Versions': ours.join(', ') });
    return undefined;
  }
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    'Upgrade: SPDY/3.1',
    `X-Stream-Protocol-Version: ${protocol}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (head.length > 0) socket.unshift(head);
  return { socket, protocol };
}
