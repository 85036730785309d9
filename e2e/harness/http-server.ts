import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { KeyPair } from './certificates.ts';
import type { NodeSockets } from './node-sockets.ts';

export interface HttpServer {
  readonly url: string;
  readonly port: number;
}

/** An HTTP server that the test plays itself on the node's loopback. It ends with `sockets`. */
export async function serveHttp(
  sockets: NodeSockets,
  listener: RequestListener,
  { port = 0, tls }: { readonly port?: number; readonly tls?: KeyPair } = {},
): Promise<HttpServer> {
  const door = await sockets.listen(port);
  const server = tls
    ? createTlsServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) }, listener)
    : createServer(listener);
  door.on('connection', (socket) => {
    socket.on('error', () => undefined);
    server.emit('connection', socket);
  });
  door.once('close', () => server.closeAllConnections());
  const { port: taken } = door.address() as AddressInfo;
  return { port: taken, url: `${tls ? 'https' : 'http'}://127.0.0.1:${taken}` };
}
