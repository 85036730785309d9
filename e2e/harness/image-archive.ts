import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { tar, type LayerEntry } from './tar.ts';

export type { LayerEntry } from './tar.ts';

// Docker archives made in the test: images with a config of their own, and layers that no honest tool writes.

export interface MadeImage {
  readonly reference: string;
  /** Each a list of entries, bottom first. */
  readonly layers: readonly (readonly LayerEntry[])[];
  /** `config` of the image's config: Entrypoint, Cmd, Env, User, WorkingDir, Volumes. */
  readonly config?: object;
  /** What becomes of a layer's compressed bytes before they are written; the digests stay those of the whole. */
  readonly spoil?: (layer: Buffer) => Buffer;
}

/** A layer with a static busybox and the applets that tests use. */
export const busyboxLayer: readonly LayerEntry[] = [
  { name: 'bin/' },
  { name: 'bin/busybox', data: readFileSync('/bin/busybox'), mode: 0o755 },
  ...['sh', 'cat', 'echo', 'env', 'id', 'ls', 'pwd', 'sleep', 'stat', 'touch'].map((applet) => ({
    name: `bin/${applet}`,
    symlinkTo: 'busybox',
  })),
];

/** Writes a docker archive with one image and gives its path. */
export function writeImage(file: string, image: MadeImage): string {
  const layers = image.layers.map((entries) => tar(entries));
  const names = layers.map((_layer, at) => `layer-${at}.tar.gz`);
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      config: image.config ?? {},
      rootfs: { type: 'layers', diff_ids: layers.map(digest) },
    }),
  );
  const spoil = image.spoil ?? ((layer) => layer);
  const manifest = [{ Config: 'config.json', RepoTags: [image.reference], Layers: names }];
  writeFileSync(
    file,
    tar([
      { name: 'config.json', data: config },
      ...layers.map((layer, at) => ({ name: names[at] ?? '', data: spoil(gzipSync(layer)) })),
      { name: 'manifest.json', data: JSON.stringify(manifest) },
    ]),
  );
  return file;
}

function digest(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
