import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import type { RegistryConfig } from '#config/slices';
import { hostPlatform, type Platform } from '../platform.ts';
import { parseReference } from '../reference.ts';
import type { Call } from './attempts.ts';
import { sentenceOf } from './owner-files.ts';
import { RegistryClient } from './registry-client.ts';
import { registryConfig } from './registry-config.fixture.ts';
import type { BlobDescriptor, RegistryCredentials, RemoteImage } from './registry.ts';
import type { Session } from './source.ts';
import type { TransportOptions } from './transport.ts';

export const noCredentials: RegistryCredentials = {
  ...{ username: '', password: '', auth: '', serverAddress: '', identityToken: '', registryToken: '' },
};

/** A client in this thread, with a directory for the owner's files. */
export class ClientBench implements AsyncDisposable {
  readonly directory: string;
  readonly client: RegistryClient;
  /** What the log was told. */
  readonly notes: string[] = [];
  readonly stop = new AbortController();
  config: RegistryConfig;

  private constructor(directory: string, options: TransportOptions) {
    this.directory = directory;
    this.client = new RegistryClient({ backOffMs: 1, environment: {}, ...options });
    this.config = registryConfig();
  }

  /** Without the machine's proxies. */
  static async open(options: TransportOptions = {}): Promise<ClientBench> {
    return new ClientBench(await mkdtemp(path.join(os.tmpdir(), 'berth-registry-')), options);
  }

  configure(more: Partial<RegistryConfig>): void {
    this.config = { ...this.config, ...more };
  }

  /** Writes a file below the directory and gives its path. */
  async file(name: string, text: string): Promise<string> {
    const file = path.join(this.directory, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
    return file;
  }

  /** A hosts.toml for one registry. */
  async hosts(domain: string, text: string): Promise<void> {
    await this.file(`hosts/${domain}/hosts.toml`, text);
    this.configure({ hostsDirectories: [path.join(this.directory, 'hosts')] });
  }

  async registriesConf(text: string): Promise<void> {
    this.configure({ registriesConf: await this.file('containers/registries.conf', text) });
  }

  get call(): Call {
    const note = (message: string, fields: Readonly<Record<string, string | number>>): void => {
      this.notes.push(`${message} ${JSON.stringify(fields)}`);
    };
    return { signal: this.stop.signal, note, unknownKeys: (found) => void this.notes.push(sentenceOf(found)) };
  }

  session(name: string, credentials?: Partial<RegistryCredentials>): Session {
    return {
      reference: parseReference(name),
      config: this.config,
      credentials: credentials && { ...noCredentials, ...credentials },
    };
  }

  async resolve(
    name: string,
    credentials?: Partial<RegistryCredentials>,
    platform: Platform = hostPlatform(),
  ): Promise<Omit<RemoteImage, 'session'>> {
    return await this.client.resolve(this.call, this.session(name, credentials), { platform });
  }

  /** The bytes that came. */
  async fetch(
    name: string,
    blob: Omit<BlobDescriptor, 'mediaType'>,
    options: { readonly credentials?: Partial<RegistryCredentials>; readonly sink?: Collector } = {},
  ): Promise<Buffer> {
    const { sink = new Collector(), credentials } = options;
    const session = this.session(name, credentials);
    await this.client.fetchBlob(this.call, session, { mediaType: '', ...blob }, sink, () => undefined);
    return sink.bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await rm(this.directory, { recursive: true });
  }
}

/** A sink in memory. */
export class Collector extends Writable {
  readonly #chunks: Buffer[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#chunks.push(chunk);
    this.take(done);
  }

  /** When the next chunk may come. */
  protected take(done: () => void): void {
    done();
  }
}
