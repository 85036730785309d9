import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { buildConnector } from 'undici';
import { connectFirst, type Wires } from './connect-first.ts';
import { ProxyFailure } from './network-failure.ts';
import { bare, shownProxy, type Proxy } from './proxy-rules.ts';
import { openSocks } from './socks5.ts';
import { openTunnel, type Target } from './tunnel.ts';

/** How TLS is spoken to a host. */
export interface TlsConnect {
  readonly secureContext?: SecureContext;
  readonly rejectUnauthorized?: boolean;
}

/** How connections are made. */
export interface Way {
  readonly wires: Wires;
  /** For a connection to stand, and once more for TLS. */
  readonly dialMs: number;
  readonly tls: TlsConnect;
  readonly proxy?: Proxy | undefined;
  /** To a proxy that speaks TLS itself. */
  readonly proxyTls: TlsConnect;
}

type Connector = ReturnType<typeof buildConnector>;

/** A proxy has to reach the target before it answers; longer than this nobody waits. */
const proxyAnswerMs = 30_000;

/** Connections for undici that lead to the host itself, through a proxy if there is one. */
export function hostConnector(way: Way): Connector {
  const secure = buildConnector({ timeout: way.dialMs, allowH2: false, ...way.tls });
  return (options, callback) => {
    const target = { host: bare(options.hostname), port: portOf(options.port, options.protocol) };
    reach(way, target).then(
      (socket) => {
        if (options.protocol === 'https:') secure({ ...options, httpSocket: socket }, endingWith(callback));
        else callback(null, socket);
      },
      (error: unknown) => callback(error as Error, null),
    );
  };
}

/**
 * A TLS alert that comes when the connection stands (no certificate of ours, in TLS 1.3) is an error of the socket, and
 * its end only after that; undici would tell the end.
 */
function endingWith(callback: Parameters<Connector>[1]): Parameters<Connector>[1] {
  return (...answer) => {
    const socket = answer[1];
    socket?.once('error', (error: Error) => socket.destroy(error));
    callback(...answer);
  };
}

/** Connections for undici to a proxy that is asked for plain HTTP: the request names the host, and nothing is tunnelled. */
export function proxyConnector(way: Way, proxy: Proxy): Connector {
  return (_options, callback) => {
    reachProxy(way, proxy).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(error as Error, null),
    );
  };
}

async function reach(way: Way, target: Target): Promise<Socket> {
  const { proxy, wires, dialMs } = way;
  if (!proxy) return await connectFirst(target.host, target.port, dialMs, wires);
  const socket = await reachProxy(way, proxy);
  const open = proxy.url.protocol.startsWith('socks5') ? openSocks : openTunnel;
  const silent = setTimeout(() => {
    socket.destroy(Object.assign(new Error('no answer'), { code: 'UND_ERR_HEADERS_TIMEOUT' }));
  }, proxyAnswerMs);
  try {
    await open(socket, proxy, target);
    return socket;
  } finally {
    clearTimeout(silent);
  }
}

/** @throws ProxyFailure */
async function reachProxy({ wires, dialMs, proxyTls }: Way, proxy: Proxy): Promise<Socket> {
  const { url } = proxy;
  const host = bare(url.hostname);
  const port = portOf(url.port, url.protocol);
  try {
    const socket = await connectFirst(host, port, dialMs, wires);
    return url.protocol === 'https:' ? await secured(socket, url, dialMs, proxyTls) : socket;
  } catch (error) {
    throw new ProxyFailure(shownProxy(proxy), { cause: error });
  }
}

async function secured(socket: Socket, url: URL, dialMs: number, tls: TlsConnect): Promise<Socket> {
  const connect = buildConnector({ timeout: dialMs, allowH2: false, ...tls });
  const { hostname, host, protocol, port } = url;
  return await new Promise<Socket>((resolve, reject) => {
    connect({ hostname: bare(hostname), host, protocol, port, httpSocket: socket }, (...[error, done]) => {
      if (error) reject(error);
      else resolve(done);
    });
  });
}

const defaultPorts: Readonly<Record<string, number>> = {
  'https:': 443,
  'http:': 80,
  'socks5:': 1080,
  'socks5h:': 1080,
};

function portOf(port: string, protocol: string): number {
  return port === '' ? (defaultPorts[protocol] ?? 443) : Number(port);
}
