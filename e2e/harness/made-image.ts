import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { tar, type LayerEntry } from './tar.ts';

// Images as registries hold them, made in memory.

export interface ImageRecipe {
  /** Each a list of entries, bottom first. */
  readonly layers: readonly (readonly LayerEntry[])[];
  /** `config` of the image's config: Entrypoint, Cmd, Env, User, StopSignal. */
  readonly config?: object;
  readonly format?: 'docker' | 'oci';
  /** Docker's format knows gzip only. */
  readonly compression?: Compression;
  readonly architecture?: string;
  /** What becomes of a layer's compressed bytes; they are pushed under the digest that they have then. */
  readonly spoil?: (layer: Buffer) => Buffer;
}

export type Compression = 'gzip' | 'zstd' | 'none';

export interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

export interface BuiltImage {
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Blob[];
  /** What the CRI calls the image's id: the config's digest. */
  readonly id: string;
  readonly architecture: string;
}

export interface BuiltIndex {
  readonly manifest: Blob;
  readonly images: readonly BuiltImage[];
}

interface MediaTypes {
  readonly manifest: string;
  readonly index: string;
  readonly config: string;
  readonly layer: Partial<Record<Compression, string>>;
}

const docker = 'application/vnd.docker';
const oci = 'application/vnd.oci.image';
const mediaTypes: Record<'docker' | 'oci', MediaTypes> = {
  docker: {
    manifest: `${docker}.distribution.manifest.v2+json`,
    index: `${docker}.distribution.manifest.list.v2+json`,
    config: `${docker}.container.image.v1+json`,
    layer: { gzip: `${docker}.image.rootfs.diff.tar.gzip` },
  },
  oci: {
    manifest: `${oci}.manifest.v1+json`,
    index: `${oci}.index.v1+json`,
    config: `${oci}.config.v1+json`,
    layer: {
      gzip: `${oci}.layer.v1.tar+gzip`,
      zstd: `${oci}.layer.v1.tar+zstd`,
      none: `${oci}.layer.v1.tar`,
    },
  },
};

const compressors: Record<Compression, (bytes: Buffer) => Buffer> = {
  gzip: (bytes) => gzipSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes),
  none: (bytes) => bytes,
};

/** The architecture of this machine as images name it. */
export const ownArchitecture = process.arch === 'x64' ? 'amd64' : process.arch;
const runtimeEnv = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];

export function buildImage(recipe: ImageRecipe): BuiltImage {
  const { format = 'docker', compression = 'gzip', architecture = ownArchitecture } = recipe;
  const types = mediaTypes[format];
  const layerType = types.layer[compression];
  if (layerType === undefined) throw new Error(`the ${format} format has no ${compression} layers`);
  const spoil = recipe.spoil ?? ((layer) => layer);
  const done = recipe.layers.map((entries) => pack(entries, compression));
  const layers = done.map(({ bytes }) => blob(layerType, spoil(bytes)));
  const config = json(types.config, {
    os: 'linux',
    architecture,
    config: { Env: runtimeEnv, ...recipe.config },
    rootfs: { type: 'layers', diff_ids: done.map(({ diffId }) => diffId) },
  });
  const manifest = json(types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: descriptor(config),
    layers: layers.map(descriptor),
  });
  return { manifest, config, layers, id: config.digest, architecture };
}

/** Images of one test share layers: each list of entries is packed once. */
const packed = new WeakMap<readonly LayerEntry[], Map<Compression, PackedLayer>>();

interface PackedLayer {
  readonly diffId: string;
  readonly bytes: Buffer;
}

function pack(entries: readonly LayerEntry[], compression: Compression): PackedLayer {
  const known = packed.get(entries) ?? new Map<Compression, PackedLayer>();
  packed.set(entries, known);
  let layer = known.get(compression);
  if (layer === undefined) {
    const bytes = tar(entries);
    layer = { diffId: digestOf(bytes), bytes: compressors[compression](bytes) };
    known.set(compression, layer);
  }
  return layer;
}

/** One name for several platforms. */
export function buildIndex(images: readonly BuiltImage[], format: 'docker' | 'oci' = 'oci'): BuiltIndex {
  const type = mediaTypes[format].index;
  const manifests = images.map((image) => ({
    ...descriptor(image.manifest),
    platform: { os: 'linux', architecture: image.architecture },
  }));
  return { manifest: json(type, { schemaVersion: 2, mediaType: type, manifests }), images };
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function descriptor({ mediaType, digest, bytes }: Blob): object {
  return { mediaType, digest, size: bytes.length };
}

function blob(mediaType: string, bytes: Buffer): Blob {
  return { mediaType, digest: digestOf(bytes), bytes };
}

function json(mediaType: string, value: unknown): Blob {
  return blob(mediaType, Buffer.from(JSON.stringify(value)));
}
