import { isIPv4, isIPv6, type Socket } from 'node:net';
import { ProxyFailure } from './network-failure.ts';
import { proxyLogin, shownProxy, type Proxy } from './proxy-rules.ts';
import { authorityOf, type Target } from './tunnel.ts';

const version = 5;
const methods = { none: 0, password: 2 } as const;
const kinds = { ipv4: 1, name: 3, ipv6: 4 } as const;
/** RFC 1929. */
const passwordVersion = 1;
const maxText = 255;

/** Reply codes of RFC 1928, section 6. */
const replies: readonly (string | undefined)[] = [
  undefined,
  'general failure',
  'not allowed by its rules',
  'no route to the network',
  'no route to the host',
  'connection refused',
  'too many hops',
  'it cannot connect',
  'it does not take addresses of this kind',
];

/**
 * Asks a SOCKS5 proxy for a connection: RFC 1928, with a password RFC 1929. Names are looked up by the proxy, as Go does for
 * "socks5" and "socks5h" alike. Afterwards the socket leads to the target; after an error it is closed.
 *
 * @throws ProxyFailure
 */
export async function openSocks(socket: Socket, proxy: Proxy, target: Target): Promise<void> {
  const shown = shownProxy(proxy);
  try {
    await greet(socket, proxy, shown);
    socket.write(Buffer.concat([Buffer.from([version, 1, 0]), placeOf(target, shown)]));
    const [, code = 1, , kind = 0] = await read(socket, 4);
    if (code !== 0) {
      const said = `it did not connect to ${authorityOf(target)}: ${replies[code] ?? `code ${code}`}`;
      throw new ProxyFailure(shown, { said, lasting: code === 2 || code > 6 });
    }
    await skipAddress(socket, kind, shown);
  } catch (error) {
    socket.on('error', () => undefined);
    socket.destroy();
    throw error instanceof ProxyFailure ? error : new ProxyFailure(shown, { cause: error });
  }
}

async function greet(socket: Socket, proxy: Proxy, shown: string): Promise<void> {
  const login = proxyLogin(proxy.url);
  socket.write(Buffer.from(login ? [version, 2, methods.none, methods.password] : [version, 1, methods.none]));
  const [spoken, method] = await read(socket, 2);
  if (spoken !== version) throw new ProxyFailure(shown, { said: 'it does not speak SOCKS5', lasting: true });
  if (method === methods.none) return;
  if (!login || method !== methods.password) {
    throw new ProxyFailure(shown, { said: 'it wants credentials in its URL, or other than these', lasting: true });
  }
  const [username, password] = [Buffer.from(login.username), Buffer.from(login.password)];
  if (username.length > maxText || password.length > maxText) {
    throw new ProxyFailure(shown, { said: `SOCKS5 takes credentials of ${maxText} bytes at most`, lasting: true });
  }
  socket.write(
    Buffer.concat([
      Buffer.from([passwordVersion, username.length]),
      username,
      Buffer.from([password.length]),
      password,
    ]),
  );
  const [, status] = await read(socket, 2);
  if (status !== 0)
    throw new ProxyFailure(shown, { said: 'it did not take the credentials in its URL', lasting: true });
}

/** Type, address and port of the request. */
function placeOf({ host, port }: Target, shown: string): Buffer {
  const end = Buffer.alloc(2);
  end.writeUInt16BE(port);
  if (isIPv4(host)) return Buffer.concat([Buffer.from([kinds.ipv4, ...host.split('.').map(Number)]), end]);
  if (isIPv6(host)) return Buffer.concat([Buffer.from([kinds.ipv6]), ipv6Bytes(host), end]);
  const name = Buffer.from(host);
  if (name.length > maxText) throw new ProxyFailure(shown, { said: 'SOCKS5 takes no name that long', lasting: true });
  return Buffer.concat([Buffer.from([kinds.name, name.length]), name, end]);
}

function ipv6Bytes(address: string): Buffer {
  // A URL writes it in hexadecimal groups alone.
  const groups = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = groups.split('::');
  const parse = (text: string): number[] => (text === '' ? [] : text.split(':').map((one) => Number.parseInt(one, 16)));
  const [before, after] = [parse(head), parse(tail ?? '')];
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The address that the proxy connected from, which nobody needs. */
async function skipAddress(socket: Socket, kind: number, shown: string): Promise<void> {
  if (kind === kinds.ipv4) await read(socket, 4 + 2);
  else if (kind === kinds.ipv6) await read(socket, 16 + 2);
  else if (kind === kinds.name) await read(socket, ((await read(socket, 1))[0] ?? 0) + 2);
  else throw new ProxyFailure(shown, { said: 'it answered what is not SOCKS5', lasting: true });
}

/** Exactly that many bytes; what comes after them stays in the socket. */
async function read(socket: Socket, count: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const ended = (): void => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
  const look = (): void => {
    const bytes = socket.read(count) as Buffer | null;
    if (bytes?.length === count) resolve(bytes);
    // At the end of a stream less than asked is given.
    else if (bytes) ended();
  };
  socket.on('readable', look).once('error', reject).once('end', ended).once('close', ended);
  try {
    look();
    return await promise;
  } finally {
    socket.off('readable', look).off('error', reject).off('end', ended).off('close', ended);
  }
}
