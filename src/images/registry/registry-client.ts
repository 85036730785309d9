import type { Writable } from 'node:stream';
import type { Call } from './attempts.ts';
import { AuthFiles } from './auth-files.ts';
import { Endpoints } from './endpoints.ts';
import { Exchange } from './exchange.ts';
import { fetchBlob } from './fetch-blob.ts';
import type { BlobDescriptor, OnBytes, RemoteImage } from './registry.ts';
import { resolveImage, type WantedImage } from './resolve-image.ts';
import { openSource, type Session, type SourceParts } from './source.ts';
import { Transport, type TransportOptions } from './transport.ts';

const defaultBackOffMs = 250;

/** The client itself, as it runs in the worker. */
export class RegistryClient {
  readonly #transport: Transport;
  readonly #parts: SourceParts;

  constructor(options: { readonly backOffMs?: number } & TransportOptions = {}) {
    this.#transport = new Transport(options);
    this.#parts = {
      endpoints: new Endpoints(),
      authFiles: new AuthFiles(),
      exchange: new Exchange(this.#transport),
      backOffMs: options.backOffMs ?? defaultBackOffMs,
    };
  }

  async resolve(call: Call, session: Session, wanted: WantedImage): Promise<Omit<RemoteImage, 'session'>> {
    return await resolveImage(call, await openSource(call, this.#parts, session), wanted);
  }

  /** The sink is closed after a success; after an error the caller destroys it. */
  async fetchBlob(call: Call, session: Session, blob: BlobDescriptor, sink: Writable, onBytes: OnBytes): Promise<void> {
    await fetchBlob(call, await openSource(call, this.#parts, session), blob, sink, onBytes);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }
}
