import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { RegistryConfig } from '#config/slices';
import type { Fd } from '#linux/fd';
import { digestOf } from '../config.ts';
import { knownImageFields } from '../image-fields.ts';
import { hostPlatform, type Platform } from '../platform.ts';
import { parseReference, repositoryOf, type Reference } from '../reference.ts';
import { parseUntrusted } from '../untrusted.ts';
import type { BlobDescriptor, OnBytes, Registry, RemoteImage, RemoteRequest } from './registry.ts';
import { pipeWriter, readerGone } from './write-pipe.ts';

/** An image as it lies in a registry. */
export interface FakeRemoteImage {
  /** Names with tags, in any form: "registry.test/app:1". */
  readonly names: readonly string[];
  /** Bottom first, as they are sent. */
  readonly layers: readonly Uint8Array[];
  /** Of the layers once they are decompressed. Default: they are sent plain. */
  readonly diffIds?: readonly string[];
  readonly layerMediaType?: string;
  /** What the manifest says of each layer's size. Default: the truth. */
  readonly layerSize?: number;
  /** The config's `config`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Overrides of the whole config document. */
  readonly document?: Readonly<Record<string, unknown>>;
  /** More of the manifest. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** Default: this machine's. */
  readonly platform?: Platform;
  /** Puts an index before the manifest. */
  readonly index?: boolean;
}

/** The documents of an image and what they are called. */
export interface BuiltImage {
  /** Digest of the config. */
  readonly id: string;
  /** Of the outermost document. */
  readonly manifestDigest: string;
  readonly layers: readonly BlobDescriptor[];
  /** Outermost first. */
  readonly manifests: readonly Uint8Array[];
  readonly config: Uint8Array;
  readonly platform: Platform;
}

const ociIndex = 'application/vnd.oci.image.index.v1+json';
const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const ociConfig = 'application/vnd.oci.image.config.v1+json';
const ociLayer = 'application/vnd.oci.image.layer.v1.tar';
const chunkBytes = 64 * 1024;

export function buildRemoteImage(image: FakeRemoteImage): BuiltImage {
  const platform = image.platform ?? hostPlatform();
  const { os, architecture } = platform;
  const diffIds = image.diffIds ?? image.layers.map(digestOf);
  const config = json({
    ...{ os, architecture, config: image.config ?? {}, rootfs: { type: 'layers', diff_ids: diffIds } },
    ...image.document,
  });
  const mediaType = image.layerMediaType ?? ociLayer;
  const layers = image.layers.map((bytes) => ({
    digest: digestOf(bytes),
    size: image.layerSize ?? bytes.length,
    mediaType,
  }));
  const manifest = json({
    ...{ schemaVersion: 2, mediaType: ociManifest, layers },
    config: { mediaType: ociConfig, digest: digestOf(config), size: config.length },
    ...image.manifest,
  });
  const entry = { mediaType: ociManifest, digest: digestOf(manifest), size: manifest.length, platform };
  const index = json({ schemaVersion: 2, mediaType: ociIndex, manifests: [entry] });
  const manifests = image.index ? [index, manifest] : [manifest];
  return {
    id: digestOf(config),
    manifestDigest: digestOf(manifests[0] ?? manifest),
    layers,
    manifests,
    config,
    platform,
  };
}

function unknownIn(documents: readonly Uint8Array[], kind: 'manifest' | 'index'): number {
  const counts = documents.map((bytes) => parseUntrusted(bytes, kind).countUnknown(knownImageFields[kind]));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** A registry without a network. What it does wrong is said beforehand: `fail`, `hold`, `corrupt`. */
export class FakeRegistry implements Registry {
  /** How often each blob was asked for, by digest. */
  readonly fetches = new Map<string, number>();
  /** How often each name was asked for, in its full form. */
  readonly resolves = new Map<string, number>();
  /** The credentials of every `resolve`, in order. */
  readonly requests: RemoteRequest[] = [];
  configured: RegistryConfig | undefined;
  closed = false;
  readonly #images = new Map<string, BuiltImage>();
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #failures = new Map<string, BerthError[]>();
  readonly #gates = new Map<string, Promise<void>>();
  readonly #sent = new Map<string, Uint8Array>();

  /** Puts an image there; another of the same name is replaced. */
  add(image: FakeRemoteImage): BuiltImage {
    const built = buildRemoteImage(image);
    for (const layer of image.layers) this.#blobs.set(digestOf(layer), layer);
    for (const name of image.names) {
      const reference = parseReference(name);
      this.#images.set(fullName(reference), built);
      this.#images.set(`${repositoryOf(reference)}@${built.manifestDigest}`, built);
    }
    return built;
  }

  /** The next `times` calls for this name (full form) or blob (digest) fail. */
  fail(nameOrDigest: string, error: BerthError, times = 1): void {
    const list = this.#failures.get(nameOrDigest) ?? [];
    list.push(...Array.from({ length: times }, () => error));
    this.#failures.set(nameOrDigest, list);
  }

  /** A slow name or blob: calls for it wait (a blob after its first half) until the returned function is called. */
  hold(nameOrDigest: string): () => void {
    let release: () => void = () => undefined;
    this.#gates.set(
      nameOrDigest,
      new Promise<void>((resolve) => {
        release = resolve;
      }),
    );
    return () => {
      this.#gates.delete(nameOrDigest);
      release();
    };
  }

  /** Sends other bytes for a blob than its digest says: what a bad mirror does. The length must be the same. */
  corrupt(digest: string, bytes: Uint8Array): void {
    this.#sent.set(digest, bytes);
  }

  async resolve(ctx: Ctx, request: RemoteRequest): Promise<RemoteImage> {
    ctx.signal.throwIfAborted();
    const name = fullName(request.reference);
    count(this.resolves, name);
    this.requests.push(request);
    await this.#gate(ctx, name);
    this.#failIfTold(name);
    const image = this.#images.get(name);
    if (!image) throw new BerthError('NOT_FOUND', `${name}: no such image in ${request.reference.domain}`);
    const { os, architecture } = request.platform;
    if (image.platform.os !== os || image.platform.architecture !== architecture) {
      throw new BerthError('NOT_FOUND', `${name} has no image for ${os}/${architecture}`);
    }
    const { manifestDigest, manifests, config, layers } = image;
    const unknownFields = {
      manifest: unknownIn(manifests.slice(-1), 'manifest'),
      index: unknownIn(manifests.slice(0, -1), 'index'),
    };
    return { session: repositoryOf(request.reference), manifestDigest, manifests, config, layers, unknownFields };
  }

  async fetchBlob(ctx: Ctx, image: RemoteImage, blob: BlobDescriptor, sink: Fd, onProgress?: OnBytes): Promise<void> {
    using owned = sink;
    ctx.signal.throwIfAborted();
    const what = `blob ${blob.digest}`;
    count(this.fetches, blob.digest);
    const bytes = this.#sent.get(blob.digest) ?? this.#blobs.get(blob.digest);
    if (!bytes) throw new BerthError('NOT_FOUND', `${what}: no such blob in ${String(image.session)}`);
    if (bytes.length !== blob.size) {
      throw new BerthError('IMAGE_INVALID', `${what} has ${bytes.length} bytes, not ${blob.size}`);
    }
    const writer = pipeWriter(owned.take());
    // An error also rejects what waits below; this keeps one that comes between from ending the process.
    writer.on('error', () => undefined);
    try {
      const half = bytes.length >> 1;
      await this.#send(ctx, writer, bytes.subarray(0, half), onProgress);
      await this.#gate(ctx, blob.digest);
      this.#failIfTold(blob.digest);
      await this.#send(ctx, writer, bytes.subarray(half), onProgress);
      writer.end();
      if (!writer.closed) await raceSignal(once(writer, 'close'), ctx.signal);
    } catch (error) {
      ctx.signal.throwIfAborted();
      throw error instanceof BerthError ? error : readerGone(what, error);
    } finally {
      writer.destroy();
      if (!writer.closed) await once(writer, 'close');
    }
  }

  reconfigure(config: RegistryConfig): void {
    this.configured = config;
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  async #send(ctx: Ctx, writer: Writable, bytes: Uint8Array, onProgress?: OnBytes): Promise<void> {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      ctx.signal.throwIfAborted();
      const chunk = bytes.subarray(at, at + chunkBytes);
      if (writer.destroyed) throw new Error('broken pipe');
      if (!writer.write(chunk)) await raceSignal(drained(writer), ctx.signal);
      onProgress?.(chunk.length);
    }
  }

  async #gate(ctx: Ctx, key: string): Promise<void> {
    const gate = this.#gates.get(key);
    if (gate) await raceSignal(gate, ctx.signal);
  }

  #failIfTold(key: string): void {
    const error = this.#failures.get(key)?.shift();
    if (error) throw error;
  }
}

async function drained(writer: Writable): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    writer.once('drain', resolve);
    writer.once('error', reject);
    writer.once('close', resolve);
  });
}

function fullName(reference: Reference): string {
  const name = repositoryOf(reference);
  return reference.digest === undefined ? `${name}:${reference.tag ?? ''}` : `${name}@${reference.digest}`;
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
