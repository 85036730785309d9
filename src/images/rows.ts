import type { Collection, CollectionSpec } from '#store/collection';
import type { ImageConfig } from './image-store.ts';

/** An image: names, and the layers it is made of. Its id is the key. */
export interface ImageRow {
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly size: number;
  readonly config: ImageConfig;
  /** Keys of layer rows, bottom first. */
  readonly layers: readonly string[];
  /** Manifests and the config below blobs/. */
  readonly blobs: readonly string[];
  readonly blobBytes: number;
  readonly createdAtNs: bigint;
}

/** An unpacked layer. */
export interface LayerRow {
  /** The diffID, or the chainID of a layer whose implied directories took their attributes from below. */
  readonly key: string;
  /** Its directory below layers/: short, because an overlay has all names in one page of mount options. */
  readonly name: string;
  readonly diffId: string;
  readonly bytes: number;
  readonly inodes: number;
  /** Directories that hide what is below, names as Latin-1. */
  readonly opaque: readonly string[];
}

/** A container's claim on the layers of an image, which may be removed meanwhile. */
export interface LeaseRow {
  readonly leaseId: string;
  readonly imageId: string;
  readonly layers: readonly string[];
}

export interface Rows {
  readonly images: Collection<ImageRow>;
  readonly layers: Collection<LayerRow>;
  readonly leases: Collection<LeaseRow>;
}

type Fields<T> = { readonly [K in keyof T]: unknown };

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function checked<T>(value: unknown, kind: string, isRow: (row: Partial<Fields<T>>) => boolean): T {
  if (typeof value !== 'object' || value === null || !isRow(value)) throw new Error(`not a row of kind ${kind}`);
  return value as T;
}

export const imageSpec: CollectionSpec<ImageRow> = {
  kind: 'image',
  version: 1,
  sync: true,
  idOf: ({ id }) => id,
  parse: (value) =>
    checked<ImageRow>(
      value,
      'image',
      (row) =>
        typeof row.id === 'string' &&
        typeof row.size === 'number' &&
        typeof row.blobBytes === 'number' &&
        typeof row.createdAtNs === 'bigint' &&
        typeof row.config === 'object' &&
        row.config !== null &&
        [row.repoTags, row.repoDigests, row.layers, row.blobs].every(isTexts),
    ),
};

export const layerSpec: CollectionSpec<LayerRow> = {
  kind: 'layer',
  version: 1,
  sync: true,
  idOf: ({ key }) => key,
  parse: (value) =>
    checked<LayerRow>(
      value,
      'layer',
      (row) =>
        typeof row.key === 'string' &&
        typeof row.name === 'string' &&
        /^[0-9a-z]+$/.test(row.name) &&
        typeof row.diffId === 'string' &&
        typeof row.bytes === 'number' &&
        typeof row.inodes === 'number' &&
        isTexts(row.opaque),
    ),
};

/** Not synced: kill -9 loses none, and after a power loss a lost lease is one of a container that is lost as well. */
export const leaseSpec: CollectionSpec<LeaseRow> = {
  kind: 'lease',
  version: 1,
  sync: false,
  idOf: ({ leaseId }) => leaseId,
  parse: (value) =>
    checked<LeaseRow>(
      value,
      'lease',
      (row) => typeof row.leaseId === 'string' && typeof row.imageId === 'string' && isTexts(row.layers),
    ),
};
