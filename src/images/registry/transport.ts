import { Agent, type Dispatcher } from 'undici';
import { plainTls, type TlsFiles } from './endpoint.ts';
import { realWires, type Wires } from './connect-first.ts';
import { hostConnector, proxyConnector, type TlsConnect, type Way } from './connector.ts';
import { proxyFor, type Environment, type Proxy } from './proxy-rules.ts';
import { emptyPems, PemFiles, secureContextOf, type Pems } from './tls-context.ts';
import { proxyAuthorization } from './tunnel.ts';

/** Connections to one host: enough for the blobs of several images, and what they ask in between. */
const maxConnections = 32;
const keepAliveMs = 15_000;
const defaultDialMs = 10_000;
const maxAgents = 64;

/** How a host is reached. */
export interface Route {
  readonly tls: TlsFiles;
  /** Undefined: ten seconds. */
  readonly dialMs?: number | undefined;
  /** Undefined: what the environment says. */
  readonly proxy?: string | undefined;
}

export interface TransportOptions {
  readonly wires?: Wires | undefined;
  /** Default: the process's. */
  readonly environment?: Environment | undefined;
}

/** Connections, kept open and shared by all that have the same certificates. */
export class Transport {
  readonly #agents = new Map<string, Dispatcher>();
  readonly #pems = new PemFiles();
  readonly #wires: Wires;
  readonly #environment: Environment;

  constructor({ wires = realWires, environment = process.env }: TransportOptions = {}) {
    this.#wires = wires;
    this.#environment = environment;
  }

  /**
   * The way to a host.
   *
   * @throws CONFIG_INVALID for certificates that cannot be read, or a variable that names no proxy
   */
  async dispatcher(url: URL, { tls, dialMs = defaultDialMs, proxy: own }: Route): Promise<Dispatcher> {
    const secure = url.protocol === 'https:';
    const proxy = own !== undefined ? { url: new URL(own), from: 'hosts.toml' } : proxyFor(url, this.#environment);
    const files = secure || proxy?.url.protocol === 'https:' ? tls : plainTls;
    const pems = await this.#pems.read(files);
    // Contents, not names: a certificate that was renewed needs new connections.
    const key = JSON.stringify([secure, pems, files.skipVerify, dialMs, proxy?.url.href, proxy?.from]);
    const known = this.#agents.get(key);
    if (known) {
      this.#agents.delete(key);
      this.#agents.set(key, known);
      return known;
    }
    const made = makeAgent(
      {
        wires: this.#wires,
        dialMs,
        proxy,
        tls: secure ? toHost(pems, files) : {},
        proxyTls: toProxy(proxy, pems, files),
      },
      secure,
    );
    this.#agents.set(key, made);
    for (const [oldest, agent] of this.#agents) {
      if (this.#agents.size <= maxAgents) break;
      this.#agents.delete(oldest);
      // What runs on it goes on to its end.
      agent.close().catch(() => undefined);
    }
    return made;
  }

  /** Breaks off what is still running. */
  async close(): Promise<void> {
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.all(agents.map((agent) => agent.destroy()));
  }
}

function toHost(pems: Pems, files: TlsFiles): TlsConnect {
  return { secureContext: secureContextOf(pems, files), rejectUnauthorized: !files.skipVerify };
}

/** A proxy is always verified, and is not told who we are to the registry. */
function toProxy(proxy: Proxy | undefined, pems: Pems, files: TlsFiles): TlsConnect {
  if (proxy?.url.protocol !== 'https:') return {};
  return { secureContext: secureContextOf({ ...emptyPems, ca: pems.ca }, { ca: files.ca, clients: [] }) };
}

function makeAgent(way: Way, secure: boolean): Dispatcher {
  const { proxy } = way;
  const asksProxy = proxy !== undefined && !secure && !proxy.url.protocol.startsWith('socks5');
  const agent = new Agent({
    connect: asksProxy ? proxyConnector(way, proxy) : hostConnector(way),
    connections: maxConnections,
    keepAliveTimeout: keepAliveMs,
    // Several plain connections are faster than one with streams that share its window.
    allowH2: false,
    pipelining: 1,
  });
  return asksProxy ? forwarding(agent, proxy) : agent;
}

/** Requests for plain HTTP as a proxy wants them, with the whole URL: RFC 9112, section 3.2.2. */
function forwarding(agent: Agent, proxy: Proxy): Dispatcher {
  const authorization = proxyAuthorization(proxy);
  return agent.compose((dispatch) => (options, handler) => {
    const { origin = '', path } = options;
    const headers = {
      ...(options.headers as Readonly<Record<string, string | string[]>>),
      host: new URL(origin).host,
      ...(authorization !== undefined && { 'proxy-authorization': authorization }),
    };
    return dispatch(
      { ...options, origin: proxy.url.origin, path: `${new URL(origin).origin}${path}`, headers },
      handler,
    );
  });
}
