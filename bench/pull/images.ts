import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { layerTar, type LayerShape } from './contents.ts';

export type Packing = 'gzip' | 'zstd';

export interface PullImage {
  /** "big", "files" */
  readonly name: string;
  readonly title: string;
  readonly layers: readonly LayerShape[];
}

const mb = 1_000_000;

/** 300 MB packed in six layers, and 20,000 small files in three. */
export const pullImages: readonly PullImage[] = [
  {
    name: 'big',
    title: '300 MB in 6 layers',
    layers: [260, 170, 110, 60, 35, 20].map((size) => ({ files: size * 6, bytes: size * mb })),
  },
  {
    name: 'files',
    title: '20,000 small files',
    layers: [12_000, 6_000, 2_000].map((files) => ({ files, bytes: files * 3_000 })),
  },
];

export interface StoredImage {
  /** Without the registry's host. */
  readonly reference: string;
  readonly packedBytes: number;
  /** Files of the packed layers in the registry's storage. */
  readonly files: readonly string[];
}

const version = 'v2';

/**
 * Puts an image into the storage of docker-registry, where it stays for later runs. Its directories are those that the
 * program makes itself; nothing has to run for it.
 */
export function storeImage(storage: string, image: PullImage, packing: Packing): StoredImage {
  const repository = `bench/${image.name}-${packing}`;
  const note = path.join(storage, `${image.name}-${packing}-${version}.json`);
  if (existsSync(note)) return JSON.parse(readFileSync(note, 'utf8')) as StoredImage;
  const writer = new StorageWriter(path.join(storage, 'docker/registry/v2'), repository);
  const pack = packing === 'gzip' ? (bytes: Buffer) => gzipSync(bytes) : (bytes: Buffer) => zstdCompressSync(bytes);
  const layers = image.layers.map((shape, index) => {
    const bytes = layerTar(shape, index + 1 + image.name.length * 100);
    const packed = pack(bytes);
    return { diffId: digestOf(bytes), size: packed.length, digest: writer.layer(packed) };
  });
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      config: { Cmd: ['/none'] },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    }),
  );
  const oci = 'application/vnd.oci.image';
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${oci}.manifest.v1+json`,
      config: { mediaType: `${oci}.config.v1+json`, digest: writer.layer(config), size: config.length },
      layers: layers.map(({ digest, size }) => ({ mediaType: `${oci}.layer.v1.tar+${packing}`, digest, size })),
    }),
  );
  writer.manifest(manifest, '1');
  const stored: StoredImage = {
    reference: `${repository}:1`,
    packedBytes: layers.reduce((sum, { size }) => sum + size, 0),
    files: layers.map(({ digest }) => writer.blobFile(digest)),
  };
  writeFileSync(`${note}.new`, JSON.stringify(stored));
  renameSync(`${note}.new`, note);
  return stored;
}

class StorageWriter {
  readonly #root: string;
  readonly #repository: string;

  constructor(root: string, repository: string) {
    this.#root = root;
    this.#repository = path.join(root, 'repositories', repository);
  }

  blobFile(digest: string): string {
    const digits = digest.slice('sha256:'.length);
    return path.join(this.#root, 'blobs/sha256', digits.slice(0, 2), digits, 'data');
  }

  /** Gives the digest. */
  layer(bytes: Buffer): string {
    const digest = this.#blob(bytes);
    this.#link(`_layers/sha256/${digest.slice('sha256:'.length)}`, digest);
    return digest;
  }

  manifest(bytes: Buffer, tag: string): void {
    const digest = this.#blob(bytes);
    const digits = digest.slice('sha256:'.length);
    this.#link(`_manifests/revisions/sha256/${digits}`, digest);
    this.#link(`_manifests/tags/${tag}/current`, digest);
    this.#link(`_manifests/tags/${tag}/index/sha256/${digits}`, digest);
  }

  #blob(bytes: Buffer): string {
    const digest = digestOf(bytes);
    const file = this.blobFile(digest);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    return digest;
  }

  #link(directory: string, digest: string): void {
    const at = path.join(this.#repository, directory);
    mkdirSync(at, { recursive: true });
    writeFileSync(path.join(at, 'link'), digest);
  }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
