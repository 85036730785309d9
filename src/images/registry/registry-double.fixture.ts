import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { digestOf } from '../config.ts';
import { parseReference } from '../reference.ts';
import { buildRemoteImage, type BuiltImage, type FakeRemoteImage } from './registry.fake.ts';
import { authorityPem, serverCertPem, serverKeyPem } from './tls-pems.fixture.ts';

export interface Seen {
  readonly method: string;
  /** With the query. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers a request in another way than the double would. `serve` does what the double does. */
export type Trick = (request: IncomingMessage, response: ServerResponse, serve: () => void) => void;

interface Set {
  readonly pattern: RegExp;
  readonly trick: Trick;
  times: number;
}

export interface DoubleOptions {
  readonly tls?: boolean;
  /** Asks for a certificate of the test authority. */
  readonly clientCertificates?: boolean;
  /** With `serverKeyPem`, and others below it. Default: one that the test authority signed. */
  readonly certificate?: string;
  /** Default: 127.0.0.1, which its certificate is for. */
  readonly address?: string;
}

/** A registry on a port of loopback that serves what it was given, and misbehaves as it is told. */
export class RegistryDouble implements AsyncDisposable {
  readonly requests: Seen[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  /** By "repository:tag" and "repository@digest". */
  readonly manifests = new Map<string, { readonly bytes: Uint8Array; readonly type: string }>();
  readonly origin: string;
  readonly host: string;
  readonly #server: ReturnType<typeof createServer>;
  readonly #tricks: Set[] = [];

  private constructor(server: ReturnType<typeof createServer>, tls: boolean) {
    this.#server = server;
    const { address, port } = server.address() as AddressInfo;
    this.host = `${address}:${port}`;
    this.origin = `${tls ? 'https' : 'http'}://${this.host}`;
  }

  static async start(options: DoubleOptions = {}): Promise<RegistryDouble> {
    const { tls = false, clientCertificates = false, certificate = serverCertPem, address = '127.0.0.1' } = options;
    const server = tls
      ? createTlsServer({
          ...{ key: serverKeyPem, cert: certificate, ca: authorityPem },
          ...{ requestCert: clientCertificates, rejectUnauthorized: clientCertificates },
        })
      : createServer();
    server.listen(0, address);
    await once(server, 'listening');
    const double = new RegistryDouble(server, tls);
    server.on('request', (request, response) => void double.#take(request, response));
    return double;
  }

  /** Puts an image there under the paths and tags of its names, whatever their registry. */
  add(image: FakeRemoteImage): BuiltImage {
    const built = buildRemoteImage(image);
    for (const blob of [...image.layers, built.config]) this.blobs.set(digestOf(blob), blob);
    for (const name of image.names) {
      const { path, tag } = parseReference(name);
      for (const bytes of built.manifests) this.addManifest(path, digestOf(bytes), bytes);
      if (tag !== undefined && built.manifests[0]) this.addManifest(path, tag, built.manifests[0]);
    }
    return built;
  }

  /** One document under a tag or digest; `type` is its Content-Type. */
  addManifest(repository: string, reference: string, bytes: Uint8Array, type?: string): void {
    const document = JSON.parse(Buffer.from(bytes).toString()) as { mediaType?: string };
    const contentType = type ?? document.mediaType ?? 'application/json';
    this.manifests.set(`${repository} ${reference}`, { bytes, type: contentType });
  }

  /** The next `times` requests whose path and query match are answered by the trick. A later trick comes first. */
  trick(pattern: RegExp, trick: Trick, times = Infinity): void {
    this.#tricks.unshift({ pattern, trick, times });
  }

  /** How often a path was asked for. */
  count(pattern: RegExp): number {
    return this.requests.filter(({ url }) => pattern.test(url)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? '';
    let body = '';
    for await (const chunk of request) body += String(chunk);
    this.requests.push({ method: request.method ?? '', url, headers: request.headers, body });
    // A client that cuts a body is one of the tests.
    response.on('error', () => undefined);
    const set = this.#tricks.find(({ pattern, times }) => times > 0 && pattern.test(url));
    if (!set) {
      this.#serve(request, response);
      return;
    }
    set.times -= 1;
    set.trick(request, response, () => this.#serve(request, response));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '', this.origin);
    const manifest = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(pathname);
    if (manifest) {
      const found = this.manifests.get(`${manifest[1] ?? ''} ${manifest[2] ?? ''}`);
      if (!found) notFound(response, 'MANIFEST_UNKNOWN');
      else sendManifest(response, found);
      return;
    }
    const blob = this.blobs.get(/^\/v2\/.+\/blobs\/([^/]+)$/.exec(pathname)?.[1] ?? '');
    if (blob) sendBlob(request, response, blob);
    else notFound(response, 'BLOB_UNKNOWN');
  }
}

function sendManifest(
  response: ServerResponse,
  { bytes, type }: { readonly bytes: Uint8Array; readonly type: string },
): void {
  response.writeHead(200, {
    'content-type': type,
    'content-length': bytes.length,
    'docker-content-digest': digestOf(bytes),
  });
  response.end(bytes);
}

/** As real registries do: with an ETag, and ranges. */
export function sendBlob(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array): void {
  const etag = `"${digestOf(bytes)}"`;
  const ifRange = request.headers['if-range'];
  const range = ifRange === undefined || ifRange === etag ? /^bytes=(\d+)-$/.exec(request.headers.range ?? '') : null;
  if (!range) {
    response.writeHead(200, { 'content-length': bytes.length, etag });
    response.end(bytes);
    return;
  }
  const first = Number(range[1]);
  response.writeHead(206, {
    'content-length': bytes.length - first,
    'content-range': `bytes ${first}-${bytes.length - 1}/${bytes.length}`,
    etag,
  });
  response.end(bytes.subarray(first));
}

function notFound(response: ServerResponse, code: string): void {
  fail(404, {}, code)(undefined, response);
}

/** A status, with the registry's own code for it. */
export function fail(
  status: number,
  headers: Readonly<Record<string, string>> = {},
  code = 'UNKNOWN',
): (request: unknown, response: ServerResponse) => void {
  return (_request, response) => {
    const body = JSON.stringify({ errors: [{ code, message: 'free text of a registry' }] });
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(body);
  };
}

export function redirect(location: string, status = 307): Trick {
  return (_request, response) => {
    response.writeHead(status, { location });
    response.end();
  };
}

/** Sends the beginning of a blob that was asked for, and breaks the connection. */
export function breakAfter(bytes: Uint8Array, count: number): Trick {
  return (request, response) => {
    const first = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const head = { 'content-length': bytes.length - first, etag: `"${digestOf(bytes)}"` };
    if (first === 0) response.writeHead(200, head);
    else response.writeHead(206, { ...head, 'content-range': `bytes ${first}-${bytes.length - 1}/${bytes.length}` });
    response.write(bytes.subarray(first, first + count), () => response.socket?.destroy());
  };
}

/** Wants a bearer token from `realm`. */
export function wantBearer(realm: string, token: string, more = ',scope="repository:team/app:pull"'): Trick {
  return (request, response, serve) => {
    if (request.headers.authorization === `Bearer ${token}`) serve();
    else
      fail(
        401,
        { 'www-authenticate': `Bearer realm="${realm}",service="reg"${more}` },
        'UNAUTHORIZED',
      )(request, response);
  };
}

export function wantBasic(username: string, password: string): Trick {
  const wanted = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  return (request, response, serve) => {
    if (request.headers.authorization === wanted) serve();
    else fail(401, { 'www-authenticate': 'Basic realm="here"' }, 'UNAUTHORIZED')(request, response);
  };
}

/** A token server's answer. */
export function giveToken(fields: Readonly<Record<string, unknown>>): Trick {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(fields));
  };
}
