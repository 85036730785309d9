import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { writePauseImage, writeWorkloadImage } from './images.ts';
import type { Options } from './options.ts';

export const repository = path.dirname(import.meta.dirname);

/** Where everything the benchmark needs lies before it starts. */
export interface Prepared {
  readonly cache: string;
  readonly peers: string;
  readonly floor: string;
  readonly workloadArchive: string;
  /** The one layer of that image, for the kernel floor. */
  readonly workloadLayer: string;
  readonly pauseArchive: string;
}

/** A reason why nothing can be measured, for the user. */
export class MissingError extends Error {}

function findProgram(name: string, how: string): string {
  const places = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  const found = places.map((place) => path.join(place, name)).find((file) => isExecutable(file));
  if (found === undefined) throw new MissingError(`${name} is missing: ${how}`);
  return found;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function checkPeer(): void {
  findProgram('iptables', 'install Debian’s iptables, the peer’s network plugins use it');
  if (!existsSync(path.join(pluginDir, 'bridge'))) {
    throw new MissingError(`${pluginDir}/bridge is missing: install Debian’s containernetworking-plugins`);
  }
}

/** The peer's network plugins, as Debian installs them. */
export const pluginDir = '/usr/lib/cni';

/** Checks what has to be there, builds what can be built. */
export function prepare(options: Options): Prepared {
  if (process.getuid?.() !== 0) throw new MissingError('namespaces and control groups need root');
  for (const name of ['nsenter', 'unshare']) findProgram(name, 'install Debian’s util-linux');
  findProgram('ip', 'install Debian’s iproute2');
  findProgram('cmake', 'install Debian’s cmake and g++');
  const busybox = findProgram('busybox', 'install Debian’s busybox-static');
  const cache = path.join(repository, '.cache', 'bench');
  const peers = path.join(cache, 'bin');
  const native = path.join(cache, 'native');
  mkdirSync(peers, { recursive: true });
  sweepRuns(cache);
  if (options.runtimes.includes('containerd')) {
    checkPeer();
    execFileSync(path.join(import.meta.dirname, 'get-peers.sh'), [peers], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const cmake = (...args: string[]): void => {
    execFileSync('cmake', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  };
  cmake('-S', import.meta.dirname, '-B', native);
  cmake('--build', native);
  const workloadArchive = path.join(cache, 'workload.tar');
  const workloadLayer = path.join(cache, 'layer.tar');
  const pauseArchive = path.join(cache, 'pause.tar');
  writeWorkloadImage({ archive: workloadArchive, layer: workloadLayer }, busybox, path.join(native, 'sleeper'));
  writePauseImage(pauseArchive, path.join(native, 'sleeper'));
  return { cache, peers, floor: path.join(native, 'floor'), workloadArchive, workloadLayer, pauseArchive };
}

/** A run whose node.sh was killed leaves its directory and control groups: the pid in the name tells whose they are. */
function sweepRuns(cache: string): void {
  for (const name of readdirSync(cache)) {
    const pid = /^berth-bench-([0-9]+)$/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const script = path.join(import.meta.dirname, 'node', 'sweep.sh');
    execFileSync(script, [path.join(cache, name), name], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
}
