import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { Agent, EnvHttpProxyAgent, ProxyAgent, type Dispatcher } from 'undici';
import { BerthError, messageOf } from '#base/errors';
import { isLoopback, type TlsFiles } from './endpoint.ts';
import { OwnerFiles } from './owner-files.ts';

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

/** Connections, kept open and shared by all that have the same certificates. */
export class Transport {
  readonly #agents = new Map<string, Dispatcher>();
  readonly #pems = new OwnerFiles((text) => text);

  /**
   * The way to a host.
   *
   * @throws CONFIG_INVALID for certificates that cannot be read
   */
  async dispatcher(url: URL, route: Route): Promise<Dispatcher> {
    const { tls, dialMs = defaultDialMs, proxy } = route;
    const secure = url.protocol === 'https:';
    const direct = isLoopback(url.host);
    const pems = secure ? await this.#read(tls) : emptyPems;
    // Contents, not names: a certificate that was renewed needs new connections.
    const key = JSON.stringify([secure && [pems, tls.skipVerify], direct, dialMs, proxy]);
    const known = this.#agents.get(key);
    if (known) {
      this.#agents.delete(key);
      this.#agents.set(key, known);
      return known;
    }
    const made = makeAgent({ direct, dialMs, proxy }, secure ? contextOptions(pems, tls) : {});
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

  async #read(tls: TlsFiles): Promise<Pems> {
    const ca = await Promise.all(tls.ca.map((file) => this.#pem(file)));
    const cert = await Promise.all(tls.clients.map((client) => this.#pem(client.cert)));
    const key = await Promise.all(tls.clients.map((client) => this.#pem(client.key === '' ? client.cert : client.key)));
    return { ca, cert, key };
  }

  async #pem(file: string): Promise<string> {
    const text = await this.#pems.read(file);
    if (text === undefined) throw new BerthError('CONFIG_INVALID', `certificate file ${file} does not exist`);
    return text;
  }
}

interface Pems {
  readonly ca: readonly string[];
  readonly cert: readonly string[];
  readonly key: readonly string[];
}

const emptyPems: Pems = { ca: [], cert: [], key: [] };

interface TlsConnect {
  readonly secureContext?: SecureContext;
  readonly rejectUnauthorized?: boolean;
}

function contextOptions(pems: Pems, tls: TlsFiles): TlsConnect {
  try {
    const secureContext = createSecureContext({
      // The machine's authorities count as well as those that Node brings.
      ca: [...getCACertificates('default'), ...getCACertificates('system'), ...pems.ca],
      cert: [...pems.cert],
      key: [...pems.key],
      minVersion: 'TLSv1.2',
    });
    return { secureContext, rejectUnauthorized: !tls.skipVerify };
  } catch (error) {
    const names = [...tls.ca, ...tls.clients.map(({ cert }) => cert)].join(', ');
    throw new BerthError('CONFIG_INVALID', `certificates cannot be used (${names}): ${messageOf(error)}`, {
      cause: error,
    });
  }
}

interface Way {
  readonly direct: boolean;
  readonly dialMs: number;
  readonly proxy: string | undefined;
}

function makeAgent({ direct, dialMs, proxy }: Way, tls: TlsConnect): Dispatcher {
  const options = {
    connect: { timeout: dialMs, ...tls },
    connections: maxConnections,
    keepAliveTimeout: keepAliveMs,
    // Several plain connections are faster than one with streams that share its window.
    allowH2: false,
    pipelining: 1,
  };
  if (proxy !== undefined) return new ProxyAgent({ ...options, uri: proxy, requestTls: tls });
  if (direct) return new Agent(options);
  try {
    return new EnvHttpProxyAgent({ ...options, requestTls: tls });
  } catch {
    // The error would quote the variable, which may hold a password.
    throw new BerthError('CONFIG_INVALID', 'HTTPS_PROXY or HTTP_PROXY in berthd’s environment is not a URL');
  }
}
