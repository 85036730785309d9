import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { Authority, type KeyPair } from './certificates.ts';
import { output } from './command.ts';
import { endByForce, type TestNode } from './node.ts';
import { NodeSockets } from './node-sockets.ts';
import type { BuiltImage, BuiltIndex } from './made-image.ts';
import { pushImage, pusher } from './push-image.ts';
import { TokenServer, tokenIssuer, tokenService } from './token-server.ts';
import { eventually } from './wait.ts';

export interface RegistryOptions {
  readonly port?: number;
  /** TLS with a certificate for 127.0.0.1, localhost and registry.test, by the test's own authority. */
  readonly tls?: boolean;
  /** TLS, and clients must show a certificate of that authority. */
  readonly clientCertificates?: boolean;
  /** Users and their passwords. */
  readonly users?: Readonly<Record<string, string>>;
  /** How they prove themselves; "token" without users gives tokens to everybody. */
  readonly auth?: 'basic' | 'token';
  /** Keeps images in a directory that outlives the test, so that they are pushed once. */
  readonly storage?: string;
}

/** One request that the registry answered; those that pushed the test's images are left out. */
export interface RegistryRequest {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly bytes: number;
  readonly userAgent: string;
}

const hostNames = ['127.0.0.1', 'localhost', 'registry.test'];

/**
 * Debian's docker-registry on the loopback of a test node. Its files lie below the node's directory, and it ends with
 * the node at the latest. Several may run in a node, on different ports.
 */
export class Registry {
  readonly port: number;
  readonly options: RegistryOptions;
  readonly sockets: NodeSockets;
  readonly authority: Authority | undefined;
  readonly tokens: TokenServer | undefined;
  /** What a client shows when clientCertificates is set. */
  readonly clientPair: KeyPair | undefined;
  readonly #node: TestNode;
  readonly #directory: string;
  #process: ChildProcess | undefined;

  private constructor(node: TestNode, directory: string, options: RegistryOptions, parts: RegistryParts) {
    this.#node = node;
    this.#directory = directory;
    this.options = options;
    this.port = options.port ?? 5000;
    this.sockets = parts.sockets;
    this.authority = parts.authority;
    this.tokens = parts.tokens;
    this.clientPair = parts.clientPair;
  }

  static async start(node: TestNode, options: RegistryOptions = {}): Promise<Registry> {
    const directory = path.join(node.directory, `registry-${options.port ?? 5000}`);
    mkdirSync(directory, { recursive: true });
    const sockets = await NodeSockets.open(node);
    const { tls, clientCertificates, auth } = options;
    const secure = tls === true || clientCertificates === true;
    const authority = secure || auth === 'token' ? await Authority.create(path.join(directory, 'tls')) : undefined;
    const pair = await authority?.issue('registry', hostNames);
    const clientPair = clientCertificates === true ? await authority?.issue('client', []) : undefined;
    const users = options.users === undefined ? {} : { users: options.users };
    const tokens =
      pair !== undefined && auth === 'token'
        ? await TokenServer.start(sockets, { signing: pair, ...(secure ? { tls: pair } : {}), ...users })
        : undefined;
    const registry = new Registry(node, directory, options, { sockets, authority, tokens, clientPair });
    const settings = {
      version: '0.1',
      log: { level: 'info' },
      storage: {
        filesystem: { rootdirectory: options.storage ?? path.join(directory, 'data') },
        delete: { enabled: true },
      },
      http: {
        addr: `127.0.0.1:${registry.port}`,
        secret: randomBytes(16).toString('hex'),
        ...(secure ? { tls: registry.#tlsSettings(pair) } : {}),
      },
      ...(await registry.#authSettings()),
    };
    // JSON is YAML too.
    writeFileSync(registry.#file('config.yml'), JSON.stringify(settings));
    await registry.run();
    return registry;
  }

  /** "127.0.0.1:5000" */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get secure(): boolean {
    return this.options.tls === true || this.options.clientCertificates === true;
  }

  get url(): string {
    return `${this.secure ? 'https' : 'http'}://${this.host}`;
  }

  /** Starts the program, again after `stop()`, and waits until it answers. */
  async run(): Promise<void> {
    const access = openSync(this.#file('access.log'), 'a');
    const log = openSync(this.#file('log'), 'a');
    this.#process = this.#node.spawn(['docker-registry', 'serve', this.#file('config.yml')], ['ignore', access, log]);
    closeSync(access);
    closeSync(log);
    const child = this.#process;
    await eventually('the registry answers', async () => {
      if (child.exitCode !== null) throw new Error(`docker-registry ended: ${readFileSync(this.#file('log'), 'utf8')}`);
      (await this.sockets.connect(this.port)).destroy();
      return true;
    });
  }

  /** Pushes an image or an index under "repository:tag"; gives the manifest's digest. */
  push(name: string, image: BuiltImage | BuiltIndex): Promise<string> {
    return pushImage(this, name, image);
  }

  /** Every answered request so far, in order. */
  requests(): RegistryRequest[] {
    return readFileSync(this.#file('access.log'), 'utf8')
      .split('\n')
      .map(parseAccess)
      .filter((request) => request !== undefined)
      .filter(({ userAgent }) => userAgent !== pusher);
  }

  /** How many times bytes of a blob were asked for and given. */
  fetches(digest: string): number {
    return this.requests().filter(
      ({ method, path: at, status }) => method === 'GET' && status < 300 && at.endsWith(`/blobs/${digest}`),
    ).length;
  }

  async stop(): Promise<void> {
    if (this.#process) await endByForce(this.#process);
  }

  /** Ends the registry and what stands around it. */
  async close(): Promise<void> {
    this.sockets.close();
    await this.stop();
  }

  #file(name: string): string {
    return path.join(this.#directory, name);
  }

  #tlsSettings(pair: KeyPair | undefined): object {
    const clientcas = this.options.clientCertificates === true ? { clientcas: [this.authority?.cert] } : {};
    return { certificate: pair?.cert, key: pair?.key, ...clientcas };
  }

  async #authSettings(): Promise<object> {
    const { users = {}, auth } = this.options;
    if (this.tokens !== undefined) {
      const rootcertbundle = this.authority?.cert;
      return {
        auth: { token: { realm: this.tokens.realm, service: tokenService, issuer: tokenIssuer, rootcertbundle } },
      };
    }
    if (auth !== 'basic') return {};
    const lines = await Promise.all(
      Object.entries(users).map(async ([user, word]) => `${user}:${await bcrypt(word)}\n`),
    );
    writeFileSync(this.#file('htpasswd'), lines.join(''));
    return { auth: { htpasswd: { realm: 'berth-test', path: this.#file('htpasswd') } } };
  }
}

interface RegistryParts {
  readonly sockets: NodeSockets;
  readonly authority: Authority | undefined;
  readonly tokens: TokenServer | undefined;
  readonly clientPair: KeyPair | undefined;
}

/** By the crypt() of the system's libc, which every Debian has a perl for. */
async function bcrypt(password: string): Promise<string> {
  const salt = `$2b$04$${randomBytes(32).toString('base64').replaceAll(/[+=]/g, '.').slice(0, 21)}u`;
  return output(['perl', '-e', 'print crypt($ARGV[0], $ARGV[1])', password, salt]);
}

/** A line of the combined log format. */
function parseAccess(line: string): RegistryRequest | undefined {
  const match = /"([A-Z]+) (\S+) HTTP\/[0-9.]+" (\d+) (\d+|-) "[^"]*" "([^"]*)"$/.exec(line);
  if (!match) return undefined;
  const [, method = '', at = '', status, bytes, userAgent = ''] = match;
  return { method, path: at, status: Number(status), bytes: Number(bytes) || 0, userAgent };
}
