import { gzipSync, zstdCompressSync } from 'node:zlib';
import { digestOf } from '../config.ts';
import { hostPlatform } from '../platform.ts';
import type { NewEntry } from './tar-header.ts';
import { tarEnd, tarEntry } from './tar-header.ts';

/** An image for tests, as its author would describe it. */
export interface TestImage {
  readonly names: readonly string[];
  /** Bottom first: entries, or the bytes of a layer as they are. */
  readonly layers: readonly (readonly NewEntry[] | Uint8Array)[];
  readonly config?: Readonly<Record<string, unknown>>;
  /** Overrides of the whole config document, for hostile ones. */
  readonly document?: Readonly<Record<string, unknown>>;
}

export interface ArchiveFormat {
  readonly kind: 'oci' | 'docker';
  readonly layers?: 'plain' | 'gzip' | 'zstd';
  readonly outer?: 'plain' | 'gzip' | 'zstd';
}

type Files = Map<string, Uint8Array>;

/** The bytes of an archive with these images. */
export function buildArchive(images: readonly TestImage[], format: ArchiveFormat): Buffer {
  const files = archiveFiles(images, format);
  const entries = [...files].map(([name, data]) => tarEntry({ name, type: '0', mode: 0o644, data }));
  return compress(Buffer.concat([...entries, tarEnd()]), format.outer ?? 'plain');
}

/** The same as names and contents, for a directory. */
export function archiveFiles(images: readonly TestImage[], format: ArchiveFormat): Files {
  const files: Files = new Map();
  const add = (bytes: Uint8Array): { digest: string; size: number } => {
    files.set(blobName(bytes), bytes);
    return { digest: digestOf(bytes), size: bytes.length };
  };
  const built = images.map((image) => {
    const layers = image.layers.map((layer) => (layer instanceof Uint8Array ? Buffer.from(layer) : tarOf(layer)));
    const blobs = layers.map((layer) => compress(layer, format.layers ?? 'plain'));
    blobs.forEach(add);
    const { os, architecture } = hostPlatform();
    const config = json({
      os,
      architecture,
      config: image.config ?? {},
      rootfs: { type: 'layers', diff_ids: layers.map(digestOf) },
      ...image.document,
    });
    add(config);
    return { image, blobs, config };
  });
  if (format.kind === 'docker') {
    const list = built.map(({ image, blobs, config }) => ({
      Config: blobName(config),
      RepoTags: image.names,
      Layers: blobs.map(blobName),
    }));
    files.set('manifest.json', json(list));
    return files;
  }
  const manifests = built.flatMap(({ image, blobs, config }) => {
    const manifest = json({
      schemaVersion: 2,
      config: { digest: digestOf(config), size: config.length },
      layers: blobs.map((blob) => ({ digest: digestOf(blob), size: blob.length })),
    });
    const descriptor = add(manifest);
    const names = image.names.length > 0 ? image.names : ['latest'];
    return names.map((name) => ({ ...descriptor, annotations: { 'org.opencontainers.image.ref.name': name } }));
  });
  files.set('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  files.set('index.json', json({ schemaVersion: 2, manifests }));
  return files;
}

export function tarOf(entries: readonly NewEntry[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), tarEnd()]);
}

/** A regular file, for short. */
export function textFile(name: string, text: string): NewEntry {
  return { name, type: '0', mode: 0o644, data: Buffer.from(text) };
}

export function directory(name: string, mode = 0o755): NewEntry {
  return { name, type: '5', mode };
}

function compress(bytes: Buffer, how: 'plain' | 'gzip' | 'zstd'): Buffer {
  if (how === 'gzip') return gzipSync(bytes);
  return how === 'zstd' ? zstdCompressSync(bytes) : bytes;
}

function blobName(bytes: Uint8Array): string {
  return `blobs/${digestOf(bytes).replace(':', '/')}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
