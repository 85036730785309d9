import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { http } from '#base/node-http';

/** A request for another protocol on its connection, which is ours alone from now on. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came after the request. */
  readonly head: Buffer;
}

/** Which of ours the client wants most, of a header with a comma-separated list. */
export function chooseProtocol(offered: string | string[] | undefined, ours: readonly string[]): string | undefined {
  return listOf(offered).find((name) => ours.includes(name));
}

export function listOf(header: string | string[] | undefined): readonly string[] {
  return [header ?? []]
    .flat()
    .flatMap((line) => line.split(','))
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

/** Answers an upgrade that will not be, and closes. */
export function refuse(
  { socket }: Pick<Upgrade, 'socket'>,
  status: number,
  sentence: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = `${sentence}\n`;
  const lines = [
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.on('error', () => undefined);
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
