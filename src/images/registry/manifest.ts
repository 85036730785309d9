import { BerthError } from '#base/errors';
import type { Platform } from '../platform.ts';
import { matchesPlatform } from '../platform.ts';
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

/** Entries of an index for the platform, the best first: same variant, none, then any. Unknown kinds are left out. */
export function entriesFor(root: UntrustedObject, platform: Platform): readonly Descriptor[] {
  const entries = root.objects('manifests');
  // Where some entries name a platform, one that does not is an attestation or an artifact beside the images.
  const someNamed = entries.some((entry) => entry.object('platform') !== undefined);
  const fitting = entries.filter((entry) => {
    const type = entry.text('mediaType');
    if (type !== '' && kindOf(type) === undefined) return false;
    if (entry.object('platform') === undefined) return !someNamed || kindOf(type) === 'index';
    return matchesPlatform(entry, platform);
  });
  const rank = (entry: UntrustedObject): number => {
    const variant = entry.object('platform')?.text('variant') ?? '';
    if (variant === (platform.variant ?? '')) return 0;
    return variant === '' ? 1 : 2;
  };
  return fitting.sort((one, other) => rank(one) - rank(other)).map(descriptorOf);
}

export type Descriptor = BlobDescriptor;

/** @throws IMAGE_INVALID */
export function descriptorOf(entry: UntrustedObject): Descriptor {
  const digest = entry.text('digest');
  if (!isDigest(digest)) throw invalid(`digest of ${entry.what}`, 'is not sha256:<64 digits>');
  const size = entry.number('size');
  if (size === undefined) throw invalid(entry.what, 'has no size');
  return { digest, size, mediaType: entry.text('mediaType') };
}

/** The config's descriptor. @throws IMAGE_INVALID for an artifact, which has something else in its place */
export function configOf(root: UntrustedObject): Descriptor {
  const config = root.object('config');
  if (!config) throw invalid(root.what, 'has no config');
  const descriptor = descriptorOf(config);
  const artifact = root.text('artifactType');
  if (!configTypes.includes(descriptor.mediaType)) {
    const type = artifact === '' ? descriptor.mediaType : artifact;
    throw invalid(root.what, `is an artifact of type ${shown(type)}, not a container image`);
  }
  return descriptor;
}

/** @throws IMAGE_INVALID for layers that cannot be unpacked */
export function layersOf(root: UntrustedObject): readonly Descriptor[] {
  return root.objects('layers').map((layer) => {
    const descriptor = descriptorOf(layer);
    const { digest, mediaType } = descriptor;
    if (mediaType.includes('+encrypted'))
      throw invalid(`layer ${digest}`, 'is encrypted, and there are no keys for it');
    if (!layerTypes.test(mediaType)) throw invalid(`layer ${digest}`, `is of type ${shown(mediaType)}, not a layer`);
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
