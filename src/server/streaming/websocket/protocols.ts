import { base64Framing, binaryFraming, type Framing } from './framing.ts';

/** One of the protocols that clients of channels in a WebSocket ask for; "" is for those who name none. */
export interface ChannelProtocol {
  readonly framing: Framing;
  /** A message of 255 and a channel's number says that nothing more comes on it. */
  readonly closeSignal: boolean;
  /** How a command ended: an API object as JSON, or a sentence when it failed. */
  readonly status: 'json' | 'text';
}

const first: ChannelProtocol = { framing: binaryFraming, closeSignal: false, status: 'text' };
const fourth: ChannelProtocol = { ...first, status: 'json' };

/** Of exec and attach. */
export const commandProtocols: ReadonlyMap<string, ChannelProtocol> = new Map([
  ['v5.channel.k8s.io', { ...fourth, closeSignal: true }],
  ['v4.channel.k8s.io', fourth],
  ['v4.base64.channel.k8s.io', { ...fourth, framing: base64Framing }],
  ['channel.k8s.io', first],
  ['base64.channel.k8s.io', { ...first, framing: base64Framing }],
  ['', first],
]);

/** SPDY inside the WebSocket: a port-forward of today. */
export const tunnelProtocol = 'SPDY/3.1+portforward.k8s.io';

/** Of port-forwards in the form that predates the tunnel, with the ports in the request. */
export const portProtocols: ReadonlyMap<string, ChannelProtocol> = new Map([
  ['v4.channel.k8s.io', fourth],
  ['v4.base64.channel.k8s.io', { ...fourth, framing: base64Framing }],
  ['', fourth],
]);
