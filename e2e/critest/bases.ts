import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { output } from '../harness/command.ts';
import { fixture } from '../harness/fixtures.ts';
import { nginxLayer } from '../harness/nginx-layer.ts';
import { top } from '../harness/paths.ts';
import type { LayerEntry } from '../harness/tar.ts';

/** The layers that critest's images are put together from. */
export interface Bases {
  /** Users, and a busybox as upstream builds it. */
  readonly busybox: readonly LayerEntry[];
  readonly passwd: string;
  readonly group: string;
  readonly nginx: readonly LayerEntry[];
  readonly pause: readonly LayerEntry[];
  readonly effectiveUid: Uint8Array;
}

const passwd = [
  'root:x:0:0:root:/root:/bin/sh',
  'www-data:x:33:33:www-data:/www:/bin/false',
  'nobody:x:65534:65534:nobody:/nonexistent:/bin/false',
];
const group = ['root:x:0:', 'www-data:x:33:', 'nogroup:x:65534:'];
const directories = ['bin', 'dev', 'etc', 'home', 'mnt', 'proc', 'root', 'run', 'sbin', 'sys', 'usr', 'var', 'www'];

/** Builds what is not in the cache yet. */
export async function makeBases(): Promise<Bases> {
  const busybox = (await output([path.join(top, 'tools/get-busybox')], { timeoutMs: 900_000 })).trim();
  const pause = await fixture('static-pause', ['-static', '-s']);
  const effectiveUid = await fixture('effective-uid', ['-static', '-s']);
  return {
    busybox: busyboxLayer(busybox),
    passwd: text(passwd),
    group: text(group),
    nginx: await nginxLayer(),
    pause: [{ name: 'pause', data: readFileSync(pause), mode: 0o755 }],
    effectiveUid: readFileSync(effectiveUid),
  };
}

export function text(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}

/** Each applet is a hard link: a spec masks /bin/ls, and a symbolic link would mask all of busybox. */
function busyboxLayer(binary: string): LayerEntry[] {
  const applets = execFileSync(binary, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean).sort();
  return [
    ...[...directories, 'var/run', 'usr/bin', 'usr/sbin'].map((name) => ({ name: `${name}/` })),
    { name: 'tmp/', mode: 0o1777 },
    { name: 'bin/busybox', data: readFileSync(binary), mode: 0o755 },
    ...applets
      .filter((applet) => applet !== 'busybox')
      .map((applet) => ({ name: `bin/${applet}`, hardlinkTo: 'bin/busybox', mode: 0o755 })),
    { name: 'etc/passwd', data: text(passwd) },
    { name: 'etc/group', data: text(group) },
    { name: 'www/index.html', data: 'ok\n' },
  ];
}
