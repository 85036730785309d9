import { BerthError } from '#base/errors';
import { digestLike } from '../config.ts';
import { knownImageFields } from '../image-fields.ts';
import type { LayerSource } from '../layer-source.ts';
import { archiveLayer } from '../layer-source.ts';
import type { Platform } from '../platform.ts';
import { rankOf } from '../platform.ts';
import type { Reference } from '../reference.ts';
import { isDigest, parseReference } from '../reference.ts';
import type { UntrustedObject } from '../untrusted.ts';
import { parseUntrusted } from '../untrusted.ts';
import type { ArchiveImage } from './archive.ts';
import type { ArchiveFiles } from './files.ts';
import { findFile, readDocument } from './files.ts';

export const ociIndexName = 'index.json';

const maxNesting = 3;

interface Found {
  readonly manifest: UntrustedObject;
  /** Outermost first: indexes, then the manifest. */
  readonly documents: readonly Uint8Array[];
  /** Of the indexes. */
  readonly unknownFields: number;
}

/** An OCI image layout: index.json leads to manifests, those to config and layers, all named by digest. */
export async function readOciLayout(files: ArchiveFiles, platform: Platform): Promise<readonly ArchiveImage[]> {
  const index = parseUntrusted(await readDocument(files, ociIndexName), `${ociIndexName} in ${files.path}`);
  const images: ArchiveImage[] = [];
  // The index that all images share is counted with the first.
  let unknownAbove = index.countUnknown(knownImageFields.index);
  for (const entry of index.objects('manifests')) {
    if (rankOf(entry.object('platform'), platform) === undefined) continue;
    const found = await follow(files, entry, platform, 0);
    if (!found) continue;
    const config = found.manifest.object('config');
    if (!config) throw new BerthError('IMAGE_INVALID', `${found.manifest.what} has no config`);
    const layers: LayerSource[] = [];
    for (const layer of found.manifest.objects('layers')) layers.push(await layerOf(files, layer));
    images.push({
      config: await readBlob(files, config),
      manifests: found.documents,
      manifestDigest: digestIn(entry),
      names: namesOf(entry),
      layers,
      unknownFields: {
        manifest: found.manifest.countUnknown(knownImageFields.manifest),
        index: unknownAbove + found.unknownFields,
      },
    });
    unknownAbove = 0;
  }
  if (images.length === 0) {
    throw new BerthError('IMAGE_INVALID', `${files.path} has no image for ${platform.os}/${platform.architecture}`);
  }
  return images;
}

/** From a descriptor to the manifest for this platform, through indexes. Undefined: none of its images is for us. */
async function follow(
  files: ArchiveFiles,
  entry: UntrustedObject,
  platform: Platform,
  depth: number,
): Promise<Found | undefined> {
  if (depth > maxNesting) throw new BerthError('IMAGE_INVALID', `${files.path} nests indexes too deeply`);
  const bytes = await readBlob(files, entry);
  const document = parseUntrusted(bytes, `manifest ${digestIn(entry)}`);
  if (document.objects('manifests').length === 0) return { manifest: document, documents: [bytes], unknownFields: 0 };
  for (const inner of bestFirst(document.objects('manifests'), platform)) {
    const found = await follow(files, inner, platform, depth + 1);
    if (!found) continue;
    const unknownFields = found.unknownFields + document.countUnknown(knownImageFields.index);
    return { manifest: found.manifest, documents: [bytes, ...found.documents], unknownFields };
  }
  return undefined;
}

/** Of an image's own index. One without a platform is an attestation or an artifact beside the images. */
function bestFirst(entries: readonly UntrustedObject[], platform: Platform): readonly UntrustedObject[] {
  return entries
    .flatMap((entry) => {
      const named = entry.object('platform');
      const rank = named && rankOf(named, platform);
      return rank === undefined ? [] : [{ rank, entry }];
    })
    .sort((one, other) => one.rank - other.rank)
    .map(({ entry }) => entry);
}

/** Annotations are free text: one that holds only a tag names no image. */
function namesOf(entry: UntrustedObject): readonly Reference[] {
  const annotations = entry.textMap('annotations');
  const name = annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'] ?? '';
  return /[/:@]/.test(name) ? [parseReference(name)] : [];
}

async function layerOf(files: ArchiveFiles, layer: UntrustedObject): Promise<LayerSource> {
  const digest = digestIn(layer);
  const file = await findFile(files, blobName(digest));
  const size = layer.number('size');
  if (size !== undefined && size !== file.size) {
    throw new BerthError('IMAGE_INVALID', `layer ${digest} has ${file.size} bytes in ${files.path}, not ${size}`);
  }
  return archiveLayer(file, digest);
}

async function readBlob(files: ArchiveFiles, descriptor: UntrustedObject): Promise<Uint8Array> {
  const digest = digestIn(descriptor);
  const bytes = await readDocument(files, blobName(digest));
  const actual = digestLike(digest, bytes);
  if (actual !== digest) throw new BerthError('IMAGE_INVALID', `blob ${digest} in ${files.path} is ${actual}`);
  return bytes;
}

function digestIn(descriptor: UntrustedObject): string {
  const digest = descriptor.text('digest');
  if (!isDigest(digest))
    throw new BerthError('IMAGE_INVALID', `digest of ${descriptor.what} is no sha256 or sha512 digest`);
  return digest;
}

function blobName(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}
