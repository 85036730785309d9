import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

// Docker archives made in the test: images with a config of their own, and layers that no honest tool writes.

export interface LayerEntry {
  readonly name: string;
  /** A regular file unless a target is given, or the name ends with "/". */
  readonly data?: string | Uint8Array;
  readonly mode?: number;
  readonly symlinkTo?: string;
  readonly hardlinkTo?: string;
}

export interface MadeImage {
  readonly reference: string;
  /** Each a list of entries, bottom first. */
  readonly layers: readonly (readonly LayerEntry[])[];
  /** `config` of the image's config: Entrypoint, Cmd, Env, User, WorkingDir, Volumes. */
  readonly config?: object;
  /** What becomes of a layer's compressed bytes before they are written; the digests stay those of the whole. */
  readonly spoil?: (layer: Buffer) => Buffer;
}

const block = 512;

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

function tar(entries: readonly LayerEntry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const data = Buffer.from(entry.data ?? '');
    return [header(entry, data.length), data, Buffer.alloc((block - (data.length % block)) % block)];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function header(entry: LayerEntry, size: number): Buffer {
  const out = Buffer.alloc(block);
  const octal = (value: number, at: number, width: number): void => {
    out.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  };
  const directory = entry.name.endsWith('/');
  out.write(entry.name, 0, 100);
  octal(entry.mode ?? (directory ? 0o755 : 0o644), 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  out.write('        ', 148, 'latin1');
  out.write(kindOf(entry, directory), 156, 'latin1');
  out.write(entry.symlinkTo ?? entry.hardlinkTo ?? '', 157, 100);
  out.write('ustar\u000000', 257, 'latin1');
  const sum = out.reduce((total, byte) => total + byte, 0);
  out.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return out;
}

function kindOf(entry: LayerEntry, directory: boolean): string {
  if (entry.symlinkTo !== undefined) return '2';
  if (entry.hardlinkTo !== undefined) return '1';
  return directory ? '5' : '0';
}
