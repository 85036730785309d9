import { readFileSync } from 'node:fs';
import { request as plainRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Blob, BuiltImage, BuiltIndex } from './made-image.ts';
import type { Registry } from './registry.ts';

/** Marks our own requests in the registry's log. */
export const pusher = 'berth-test-pusher';

/** Pushes what the registry lacks of an image or index, then its manifests; gives the digest under the name. */
export async function pushImage(registry: Registry, name: string, image: BuiltImage | BuiltIndex): Promise<string> {
  const colon = name.lastIndexOf(':');
  const client = new PushClient(registry, name.slice(0, colon));
  const images = 'images' in image ? image.images : [image];
  for (const { layers, config, manifest } of images) {
    for (const blob of [...layers, config]) await client.blob(blob);
    if (manifest !== image.manifest) await client.manifest(manifest.digest, manifest);
  }
  await client.manifest(name.slice(colon + 1), image.manifest);
  return image.manifest.digest;
}

interface Answer {
  readonly status: number;
  readonly location: string;
  readonly body: string;
}

class PushClient {
  readonly #registry: Registry;
  readonly #repository: string;

  constructor(registry: Registry, repository: string) {
    this.#registry = registry;
    this.#repository = repository;
  }

  async blob({ digest, bytes }: Blob): Promise<void> {
    const base = `/v2/${this.#repository}/blobs`;
    if ((await this.#call('HEAD', `${base}/${digest}`)).status === 200) return;
    const { location } = await this.#expect(202, 'POST', `${base}/uploads/`);
    const { pathname, search } = new URL(location, this.#registry.url);
    const to = `${pathname}${search === '' ? '?' : `${search}&`}digest=${digest}`;
    await this.#expect(201, 'PUT', to, bytes, 'application/octet-stream');
  }

  async manifest(reference: string, { bytes, mediaType }: Blob): Promise<void> {
    await this.#expect(201, 'PUT', `/v2/${this.#repository}/manifests/${reference}`, bytes, mediaType);
  }

  async #expect(status: number, method: string, path: string, body?: Buffer, type?: string): Promise<Answer> {
    const answer = await this.#call(method, path, body, type);
    if (answer.status !== status) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.body}`);
    return answer;
  }

  async #call(method: string, path: string, body: Uint8Array = Buffer.alloc(0), type?: string): Promise<Answer> {
    const socket = await this.#connect();
    const headers = {
      'user-agent': pusher,
      'content-length': body.length,
      connection: 'close',
      ...(type === undefined ? {} : { 'content-type': type }),
      ...this.#authorization(),
    };
    const options: RequestOptions = { method, path, headers, host: '127.0.0.1', port: this.#registry.port };
    return new Promise((resolve, reject) => {
      const sent = plainRequest({ ...options, createConnection: () => socket }, (response) => {
        answerOf(response).then(resolve, reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  async #connect(): Promise<Socket> {
    const { sockets, port, secure, authority, clientPair } = this.#registry;
    const socket = await sockets.connect(port);
    if (!secure || authority === undefined) return socket;
    const own = clientPair && { cert: readFileSync(clientPair.cert), key: readFileSync(clientPair.key) };
    return connectTls({ socket, ca: readFileSync(authority.cert), servername: 'registry.test', ...own });
  }

  #authorization(): { authorization?: string } {
    const { tokens, options } = this.#registry;
    if (tokens) return { authorization: `Bearer ${tokens.mint([`repository:${this.#repository}:pull,push`], 300)}` };
    const [first] = options.auth === 'basic' ? Object.entries(options.users ?? {}) : [];
    return first === undefined ? {} : { authorization: `Basic ${Buffer.from(first.join(':')).toString('base64')}` };
  }
}

async function answerOf(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const { statusCode = 0, headers } = response;
  return { status: statusCode, location: headers.location ?? '', body: Buffer.concat(chunks).toString() };
}
