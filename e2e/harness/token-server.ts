import { createSign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KeyPair } from './certificates.ts';
import { serveHttp, type HttpServer } from './http-server.ts';
import type { NodeSockets } from './node-sockets.ts';

/** Both names are in the registry's settings too. */
export const tokenService = 'berth-test-registry';
export const tokenIssuer = 'berth-test-tokens';

export interface TokenServerOptions {
  readonly signing: KeyPair;
  readonly tls?: KeyPair;
  /** Who gets tokens; without any, everybody does. */
  readonly users?: Readonly<Record<string, string>>;
  readonly expiresInSeconds?: number;
}

export interface TokenRequest {
  readonly method: string;
  readonly scopes: readonly string[];
  readonly user: string | undefined;
  readonly granted: boolean;
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** The registry's token endpoint, by GET with basic authentication and by POST as in OAuth 2. */
export class TokenServer {
  readonly requests: TokenRequest[] = [];
  /** May be changed by a test: how long the next tokens are good for. */
  expiresInSeconds: number;
  readonly #options: TokenServerOptions;
  #http: HttpServer | undefined;

  private constructor(options: TokenServerOptions) {
    this.#options = options;
    this.expiresInSeconds = options.expiresInSeconds ?? 300;
  }

  static async start(sockets: NodeSockets, options: TokenServerOptions): Promise<TokenServer> {
    const server = new TokenServer(options);
    const tls = options.tls === undefined ? {} : { tls: options.tls };
    server.#http = await serveHttp(sockets, (request, response) => void server.#answer(request, response), tls);
    return server;
  }

  get realm(): string {
    return `${this.#http?.url ?? ''}/token`;
  }

  /** A token for scopes like "repository:app/web:pull,push". */
  mint(scopes: readonly string[], expiresInSeconds = this.expiresInSeconds): string {
    const now = Math.floor(Date.now() / 1000);
    const cert = readFileSync(this.#options.signing.cert, 'utf8').replaceAll(/-----[^-]+-----|\s/g, '');
    const claims = {
      iss: tokenIssuer,
      sub: '',
      aud: tokenService,
      iat: now - 10,
      nbf: now - 10,
      exp: now + expiresInSeconds,
      jti: `${now}-${this.requests.length}`,
      access: scopes.map(accessOf),
    };
    const signed = `${part({ typ: 'JWT', alg: 'RS256', x5c: [cert] })}.${part(claims)}`;
    const signature = createSign('RSA-SHA256').update(signed).sign(readFileSync(this.#options.signing.key));
    return `${signed}.${signature.toString('base64url')}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { searchParams } = new URL(request.url ?? '/', 'http://token');
    const form = request.method === 'POST' ? new URLSearchParams(await bodyOf(request)) : searchParams;
    const scopes = form.getAll('scope').flatMap((scope) => scope.split(' '));
    const { user, password } = credentials(request, form);
    const { users } = this.#options;
    const granted = users === undefined || (user !== undefined && users[user] === password);
    this.requests.push({ method: request.method ?? '', scopes, user, granted });
    const expires = this.expiresInSeconds;
    const token = granted ? this.mint(scopes) : '';
    const body = granted
      ? { token, access_token: token, expires_in: expires, issued_at: new Date().toISOString() }
      : { errors: [{ code: 'UNAUTHORIZED', message: 'no token for you' }] };
    response.writeHead(granted ? 200 : 401, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }
}

function credentials(request: IncomingMessage, form: URLSearchParams): { user?: string; password?: string } {
  const basic = /^Basic (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (basic !== undefined) {
    const [user = '', ...rest] = Buffer.from(basic, 'base64').toString().split(':');
    return { user, password: rest.join(':') };
  }
  // An identity token: the test uses the password as such.
  const password = form.get('password') ?? form.get('refresh_token');
  const user = form.get('username') ?? '<token>';
  return password === null ? {} : { user, password };
}

function accessOf(scope: string): Access {
  const [type = '', ...rest] = scope.split(':');
  const actions = rest.pop() ?? '';
  return { type, name: rest.join(':'), actions: actions.split(',') };
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
