// Makes the image that `make run` and the tests start containers from, out of Debian's busybox-static: no registry, no
// network, the same bytes every time.
//
//     node tools/busybox-image.ts /bin/busybox out.tar
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import { tarEnd, tarEntry } from '../src/images/archive/tar-header.ts';
import type { NewEntry } from '../src/images/archive/tar-header.ts';

export const busyboxReference = 'localhost/busybox:latest';

const passwd = [
  'root:x:0:0:root:/root:/bin/sh',
  'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
  'www-data:x:33:33:www-data:/var/www:/bin/false',
  'nobody:x:65534:65534:nobody:/nonexistent:/bin/false',
];

const group = ['root:x:0:', 'daemon:x:1:', 'tty:x:5:', 'www-data:x:33:', 'users:x:100:www-data', 'nogroup:x:65534:'];

const directories: readonly (readonly [name: string, mode: number, owner: number])[] = [
  ['bin', 0o755, 0],
  ['dev', 0o755, 0],
  ['etc', 0o755, 0],
  ['home', 0o755, 0],
  ['proc', 0o755, 0],
  ['root', 0o700, 0],
  ['run', 0o755, 0],
  ['sys', 0o755, 0],
  ['tmp', 0o1777, 0],
  ['usr', 0o755, 0],
  ['usr/bin', 0o755, 0],
  ['usr/sbin', 0o755, 0],
  ['var', 0o755, 0],
  ['var/www', 0o755, 33],
];

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * Writes an archive with one image, localhost/busybox:latest: an OCI image layout and a docker-archive in one tar. The
 * applets are hard links of one file.
 *
 * @param binary a static busybox that runs here
 */
export function buildBusyboxArchive(binary: string, out: string): void {
  const layer = layerOf(binary);
  const compressed = gzipSync(layer, { level: 6 });
  const config = json({
    created: '1970-01-01T00:00:00Z',
    architecture: architectures[process.arch] ?? process.arch,
    os: 'linux',
    config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'] },
    rootfs: { type: 'layers', diff_ids: [digest(layer)] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'busybox-static' }],
  });
  const media = 'application/vnd.oci.image';
  const manifest = json({
    schemaVersion: 2,
    mediaType: `${media}.manifest.v1+json`,
    config: descriptor(`${media}.config.v1+json`, config),
    layers: [descriptor(`${media}.layer.v1.tar+gzip`, compressed)],
  });
  const index = json({
    schemaVersion: 2,
    mediaType: `${media}.index.v1+json`,
    manifests: [
      {
        ...descriptor(`${media}.manifest.v1+json`, manifest),
        annotations: {
          'io.containerd.image.name': busyboxReference,
          'org.opencontainers.image.ref.name': busyboxReference,
        },
      },
    ],
  });
  const docker = json([{ Config: blobName(config), RepoTags: [busyboxReference], Layers: [blobName(compressed)] }]);
  const file = (name: string, data: Uint8Array): Buffer => tarEntry({ name, type: '0', mode: 0o644, data });
  const archive = Buffer.concat([
    tarEntry({ name: 'blobs', type: '5', mode: 0o755 }),
    tarEntry({ name: 'blobs/sha256', type: '5', mode: 0o755 }),
    ...[manifest, config, compressed].map((blob) => file(blobName(blob), blob)),
    file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
    file('index.json', index),
    file('manifest.json', docker),
    tarEnd(),
  ]);
  // Whoever waits for the file finds all of it.
  writeFileSync(`${out}.new`, archive);
  renameSync(`${out}.new`, out);
}

function layerOf(binary: string): Buffer {
  const applets = execFileSync(binary, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean).sort();
  const text = (lines: readonly string[]): Buffer => Buffer.from(`${lines.join('\n')}\n`);
  const entries: NewEntry[] = [
    ...directories.map(([name, mode, owner]): NewEntry => ({ name, type: '5', mode, uid: owner, gid: owner })),
    { name: 'bin/busybox', type: '0', mode: 0o755, data: readFileSync(binary) },
    ...applets
      .filter((applet) => applet !== 'busybox')
      .map((applet): NewEntry => ({ name: `bin/${applet}`, type: '1', mode: 0o755, target: 'bin/busybox' })),
    { name: 'etc/passwd', type: '0', mode: 0o644, data: text(passwd) },
    { name: 'etc/group', type: '0', mode: 0o644, data: text(group) },
    { name: 'sbin', type: '2', mode: 0o777, target: 'bin' },
  ];
  return Buffer.concat([...entries.map(tarEntry), tarEnd()]);
}

function descriptor(mediaType: string, bytes: Uint8Array): object {
  return { mediaType, digest: digest(bytes), size: bytes.length };
}

function blobName(bytes: Uint8Array): string {
  return `blobs/${digest(bytes).replace(':', '/')}`;
}

function digest(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

if (import.meta.main) {
  const [binary, out] = process.argv.slice(2);
  if (binary === undefined || out === undefined) {
    console.error('usage: node tools/busybox-image.ts <static busybox> <archive to write>');
    process.exitCode = 2;
  } else {
    buildBusyboxArchive(binary, out);
  }
}
