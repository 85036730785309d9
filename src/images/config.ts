import { createHash } from 'node:crypto';
import { BerthError } from '#base/errors';
import { knownImageFields } from './image-fields.ts';
import type { ImageConfig } from './image-store.ts';
import { isDigest } from './reference.ts';
import { parseUntrusted } from './untrusted.ts';

/** What one image config says, checked and copied. */
export interface ParsedConfig {
  readonly config: ImageConfig;
  /** Digests of the uncompressed layers, bottom first. */
  readonly diffIds: readonly string[];
  /** How many of its fields nobody here knows. */
  readonly unknownFields: number;
}

/** overlayfs stacks at most 500 lower directories. */
const maxLayers = 500;

/** @throws IMAGE_INVALID */
export function parseConfig(bytes: Uint8Array, id: string): ParsedConfig {
  const root = parseUntrusted(bytes, `image config ${id}`);
  const config = root.object('config');
  const rootfs = root.object('rootfs');
  const [os, type] = [root.text('os'), rootfs?.text('type') ?? ''];
  if (!['', 'linux'].includes(os.toLowerCase()))
    throw invalid(id, `is for ${JSON.stringify(os.slice(0, 80))}, not linux`);
  if (!['', 'layers'].includes(type)) {
    throw invalid(id, `has a rootfs of type ${JSON.stringify(type.slice(0, 80))}; only layers are known`);
  }
  const diffIds = rootfs?.texts('diff_ids') ?? [];
  if (diffIds.length > maxLayers) {
    throw invalid(id, `has ${diffIds.length} layers; ${maxLayers} are allowed`);
  }
  const bad = diffIds.find((diffId) => !isDigest(diffId));
  if (bad !== undefined) throw invalid(id, `has a layer that is no sha256 or sha512 digest: ${bad.slice(0, 80)}`);
  return {
    diffIds,
    unknownFields: root.countUnknown(knownImageFields.config),
    config: {
      user: config?.text('User') ?? '',
      env: config?.texts('Env') ?? [],
      entrypoint: config?.texts('Entrypoint') ?? [],
      cmd: config?.texts('Cmd') ?? [],
      workingDir: config?.text('WorkingDir') ?? '',
      volumes: config?.keys('Volumes') ?? [],
      labels: config?.textMap('Labels') ?? {},
      stopSignal: config?.text('StopSignal') ?? '',
      architecture: root.text('architecture'),
      os,
    },
  };
}

function invalid(id: string, why: string): BerthError {
  return new BerthError('IMAGE_INVALID', `image config ${id} ${why}`);
}

/** `sha256:…` of some bytes. */
export function digestOf(bytes: Uint8Array): string {
  return digestLike('sha256:', bytes);
}

/** The digest of some bytes by the algorithm of another digest, to be compared with it. */
export function digestLike(digest: string, bytes: Uint8Array): string {
  const algorithm = digest.slice(0, digest.indexOf(':'));
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** The name of each layer together with all below it, bottom first: what a layer with implied directories depends on. */
export function chainIds(diffIds: readonly string[]): readonly string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(Buffer.from(`${below} ${diffId}`)));
  }
  return chain;
}
