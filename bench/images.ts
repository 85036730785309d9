import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { tar, type TarEntry } from './tar-archive.ts';

/** The image of the containers that are measured: busybox, and a program that sleeps until SIGTERM. */
export const workloadImage = 'bench.invalid/workload:1';
export const workloadCommand = ['/bin/sleeper'] as const;
/** What a process of the container calls itself in /proc. */
export const workloadName = 'sleeper';
/** The peer's sandbox image. */
export const pauseImage = 'bench.invalid/pause:1';

const applets = ['sh', 'cat', 'echo', 'grep', 'ip', 'ls', 'sleep', 'true'];

function directory(name: string, mode = 0o755): TarEntry {
  return { name: `${name}/`, mode };
}

function archive(reference: string, layer: Buffer, command: Record<string, unknown>): Buffer {
  const digest = createHash('sha256').update(layer).digest('hex');
  const config = JSON.stringify({
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: { Env: ['PATH=/bin'], ...command },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  });
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
  const manifest = JSON.stringify([{ Config: configName, RepoTags: [reference], Layers: ['layer.tar'] }]);
  const file = (name: string, content: Uint8Array): TarEntry => ({ name, mode: 0o644, content });
  return tar([
    file('manifest.json', Buffer.from(manifest)),
    file(configName, Buffer.from(config)),
    file('layer.tar', layer),
  ]);
}

/** @param busybox a static busybox of this machine */
export function writeWorkloadImage(paths: { archive: string; layer: string }, busybox: string, sleeper: string): void {
  const layer = tar([
    ...['bin', 'dev', 'etc', 'proc', 'sys'].map((name) => directory(name)),
    directory('tmp', 0o1777),
    { name: 'etc/passwd', mode: 0o644, content: Buffer.from('root:x:0:0:root:/:/bin/sh\n') },
    { name: 'etc/group', mode: 0o644, content: Buffer.from('root:x:0:\n') },
    { name: 'bin/busybox', mode: 0o755, content: readFileSync(busybox) },
    ...applets.map((name) => ({ name: `bin/${name}`, mode: 0o755, linkTo: 'bin/busybox' })),
    { name: `bin/${workloadName}`, mode: 0o755, content: readFileSync(sleeper) },
  ]);
  writeFileSync(paths.layer, layer);
  writeFileSync(paths.archive, archive(workloadImage, layer, { Cmd: workloadCommand }));
}

export function writePauseImage(path: string, sleeper: string): void {
  const layer = tar([{ name: 'pause', mode: 0o755, content: readFileSync(sleeper) }]);
  writeFileSync(path, archive(pauseImage, layer, { Entrypoint: ['/pause'] }));
}
