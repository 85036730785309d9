import { BerthError } from '#base/errors';
import type { Platform } from '../platform.ts';
import { rankOf } from '../platform.ts';
import { isDigest } from '../reference.ts';
import { parseUntrusted, type UntrustedObject } from '../untrusted.ts';
import type { BlobDescriptor } from './registry.ts';

const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const configTypes = ['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'];
const layerTypes =
  /^application\/vnd\.(oci\.image\.layer\.(nondistributable\.)?v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.(foreign\.)?diff\.tar(\.gzip|\.zstd)?)$/;
const isLayerType = (type: string): boolean => layerTypes.test(type);
const schema1Types = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)$/;

/** What a registry is asked to give for a name. */
export const acceptedTypes = [...manifestTypes, ...indexTypes].join(', ');

export type ImageDocument =
  | { readonly kind: 'index'; readonly root: UntrustedObject }
  | { readonly kind: 'manifest'; readonly root: UntrustedObject };

/** What others said a document is: its descriptor, the Content-Type it came with. "" for nothing. */
export interface Labels {
  readonly descriptorType: string;
  readonly contentType: string;
}

/**
 * Reads an index or a manifest. A document that could be taken for both is refused, whatever it calls itself
 * (CVE-2021-41190), and so is one whose labels contradict each other.
 *
 * @throws IMAGE_INVALID
 */
export function parseDocument(bytes: Uint8Array, what: string, labels: Labels): ImageDocument {
  const root = parseUntrusted(bytes, what);
  const contentType = labels.contentType.replace(/;.*$/, '').trim().toLowerCase();
  const own = root.text('mediaType');
  const types = [own, labels.descriptorType, contentType];
  if (root.number('schemaVersion') === 1 || types.some((type) => schema1Types.test(type)) || root.has('fsLayers')) {
    throw invalid(what, 'is of docker schema 1, which is no longer used: build or push the image again');
  }
  const looksLikeIndex = root.has('manifests');
  const looksLikeManifest = root.has('layers') || root.has('config');
  if (looksLikeIndex && looksLikeManifest) throw invalid(what, 'is an index and a manifest at once');
  if (!looksLikeIndex && !looksLikeManifest) throw invalid(what, 'is neither an index nor a manifest');
  const kind = looksLikeIndex ? 'index' : 'manifest';
  for (const type of types) {
    const said = kindOf(type);
    if (said !== undefined && said !== kind) throw invalid(what, `is called ${type} but holds another kind`);
  }
  if (own !== '' && kindOf(own) === undefined)
    throw invalid(what, `has the media type ${shown(own)}, which is no image`);
  return { kind, root };
}

function kindOf(type: string): 'index' | 'manifest' | undefined {
  if (indexTypes.includes(type)) return 'index';
  return manifestTypes.includes(type) ? 'manifest' : undefined;
}

/** An entry of an index. */
export interface IndexEntry extends Descriptor {
  /** It names a platform; of one that does not, only its config tells what it is for. */
  readonly named: boolean;
}

/** Entries of an index that the platform can run, the best first, those of equal rank in the order of the index. */
export function entriesFor(root: UntrustedObject, platform: Platform): readonly IndexEntry[] {
  const ranked = root.objects('manifests').flatMap((entry) => {
    const type = entry.text('mediaType');
    if (type !== '' && kindOf(type) === undefined) return [];
    const named = entry.object('platform');
    const rank = rankOf(named, platform);
    return rank === undefined ? [] : [{ rank, entry: { ...descriptorOf(entry), named: named !== undefined } }];
  });
  return ranked.sort((one, other) => one.rank - other.rank).map(({ entry }) => entry);
}

export type Descriptor = BlobDescriptor;

/** @throws IMAGE_INVALID */
export function descriptorOf(entry: UntrustedObject): Descriptor {
  const digest = entry.text('digest');
  if (!isDigest(digest)) throw invalid(`digest of ${entry.what}`, 'is no sha256 or sha512 digest');
  const size = entry.number('size');
  if (size === undefined) throw invalid(entry.what, 'has no size');
  return { digest, size, mediaType: entry.text('mediaType') };
}

/**
 * The config's descriptor. Of a type that is no image's, only the config itself shows whether this is an image: builders
 * call it `application/octet-stream`, `application/json` or nothing at all.
 *
 * @throws IMAGE_INVALID for what cannot be an image, because it has layers of another kind, or none
 */
export function configOf(root: UntrustedObject): Descriptor & { readonly called: 'image' | 'other' } {
  const config = root.object('config');
  if (!config) throw invalid(root.what, 'has no config');
  const descriptor = descriptorOf(config);
  if (configTypes.includes(descriptor.mediaType)) return { ...descriptor, called: 'image' };
  const types = root.objects('layers').map((layer) => layer.text('mediaType'));
  if (types.length === 0 || types.some((type) => !isLayerType(type))) throw artifact(root);
  return { ...descriptor, called: 'other' };
}

/** The refusal of a manifest that is no image. */
export function artifact(root: UntrustedObject, cause?: unknown): BerthError {
  const named = root.text('artifactType');
  const type = named === '' ? (root.object('config')?.text('mediaType') ?? '') : named;
  return new BerthError('IMAGE_INVALID', `${root.what} is an artifact of type ${shown(type)}, not a container image`, {
    cause,
  });
}

/** @throws IMAGE_INVALID for layers that cannot be unpacked */
export function layersOf(root: UntrustedObject): readonly Descriptor[] {
  return root.objects('layers').map((layer) => {
    const descriptor = descriptorOf(layer);
    const { digest, mediaType } = descriptor;
    if (mediaType.includes('+encrypted'))
      throw invalid(`layer ${digest}`, 'is encrypted, and there are no keys for it');
    if (!isLayerType(mediaType)) throw invalid(`layer ${digest}`, `is of type ${shown(mediaType)}, not a layer`);
    // The registry may have it all the same.
    return layer.texts('urls').length > 0 ? { ...descriptor, hasUrls: true } : descriptor;
  });
}

function shown(type: string): string {
  return JSON.stringify(type.slice(0, 128));
}

function invalid(what: string, why: string): BerthError {
  return new BerthError('IMAGE_INVALID', `${what} ${why}`);
}
