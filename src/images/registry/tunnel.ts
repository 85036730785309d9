import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { basicHeader } from './credentials.ts';
import { ProxyFailure } from './network-failure.ts';
import { proxyLogin, shownProxy, type Proxy } from './proxy-rules.ts';

/** Where a tunnel leads. */
export interface Target {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** "host:port" as URLs write it. */
export function authorityOf({ host, port }: Target): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The value of Proxy-Authorization; undefined: none. */
export function proxyAuthorization({ url }: Proxy): string | undefined {
  const login = proxyLogin(url);
  return login ? basicHeader({ kind: 'basic', ...login }) : undefined;
}

/**
 * Asks a proxy for a tunnel: CONNECT of RFC 9110. Afterwards the socket leads to the target; after an error it is closed.
 *
 * @throws ProxyFailure
 */
export async function openTunnel(socket: Socket, proxy: Proxy, target: Target): Promise<void> {
  const shown = shownProxy(proxy);
  const path = authorityOf(target);
  const authorization = proxyAuthorization(proxy);
  const headers = { host: path, ...(authorization !== undefined && { 'proxy-authorization': authorization }) };
  try {
    const { answer, head } = await new Promise<{ answer: IncomingMessage; head: Buffer }>((resolve, reject) => {
      const asking = request({ method: 'CONNECT', path, headers, createConnection: () => socket });
      asking.once('connect', (answer, _socket, head) => resolve({ answer, head }));
      asking.once('error', reject);
      asking.end();
    });
    if (answer.statusCode !== 200) throw refusal(shown, answer.statusCode ?? 0, path);
    if (head.length > 0) socket.unshift(head);
  } catch (error) {
    socket.on('error', () => undefined);
    socket.destroy();
    throw error instanceof ProxyFailure ? error : new ProxyFailure(shown, { cause: error });
  }
}

function refusal(shown: string, status: number, path: string): ProxyFailure {
  if (status === 407) {
    const said = 'it wants credentials, or other ones, in its URL (status 407)';
    return new ProxyFailure(shown, { said, lasting: true });
  }
  if (status >= 500) return new ProxyFailure(shown, { said: `it could not connect to ${path} (status ${status})` });
  return new ProxyFailure(shown, { said: `it refused to connect to ${path} (status ${status})`, lasting: true });
}
