import path from 'node:path';
import type { ContainerInput, MountInput } from '#runtime/container-input';
import type { OciMount } from './oci.ts';

/** Source of a mount that means "the pod's /dev/shm": it has no path on the node. */
export const podShmSource = 'berth:shm';
/** Option (mount(8) ignores x-…) of a bind whose source must exist: it is not created when missing. */
export const sourceRequired = 'x-berth.required';
/** Option of a bind that nobody asked for: no place for it is made in a volume, where it would stay on the node. */
export const onlyIfThere = 'x-berth.if-there';

/**
 * Terminals one container may have open, those of its own `tty` and of execs among them. The kernel counts them for the
 * machine (kernel.pty.max, 4096, of which 3072 are not the node's reserve): no container alone can use them up.
 */
const terminalLimit = 1024;

const systemMounts = (privileged: boolean): OciMount[] => {
  const access = privileged ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5', `max=${terminalLimit}`],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev/shm',
      type: 'bind',
      source: podShmSource,
      options: ['nosuid', 'noexec', 'nodev', 'rw', onlyIfThere],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', access] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: ['nosuid', 'noexec', 'nodev', 'relatime', access],
    },
  ];
};

const propagationOptions = {
  private: 'rprivate',
  hostToContainer: 'rslave',
  bidirectional: 'rshared',
} as const;

function toOciMount(mount: MountInput): OciMount {
  const options = ['rbind', propagationOptions[mount.propagation]];
  options.push(mount.readonly ? (mount.recursiveReadonly ? 'rro' : 'ro') : 'rw');
  if (mount.idmapped) options.push('ridmap');
  if (mount.noexec) options.push('noexec');
  if (mount.nodev) options.push('nodev');
  if (mount.nosuid) options.push('nosuid');
  if (!mount.volume) options.push(sourceRequired, onlyIfThere);
  return { destination: placeInRoot(mount.destination), type: 'bind', source: mount.source, options };
}

/** A place in a container by its one name: absolute, without `.`, `..` and doubled slashes, as other runtimes read it. */
export function placeInRoot(destination: string): string {
  return path.posix.resolve('/', destination);
}

/** A volume at one of these takes the place of all that the system mounts below it: it is the node's own, mostly. */
const whole = ['/dev', '/sys'];

const depth = (mount: OciMount): number => mount.destination.split('/').length;

/**
 * All mounts in the order they are made: the system's (without those the request replaces), then the request's, parents
 * before children. The sort is stable: of two mounts at one place the later one wins, as with mount(8).
 */
export function containerMounts(input: ContainerInput): readonly OciMount[] {
  const requested = input.mounts.map(toOciMount);
  const replaced = new Set(requested.map((mount) => mount.destination));
  const isCovered = ({ destination }: OciMount): boolean =>
    replaced.has(destination) || whole.some((place) => replaced.has(place) && destination.startsWith(`${place}/`));
  const kept = systemMounts(input.privileged).filter((mount) => !replaced.has(mount.destination));
  // The pod's /dev/shm is the one thing of the pod's own that is in the node's /dev, too.
  const shm = kept.filter((mount) => isCovered(mount) && mount.source === podShmSource);
  const system = kept.filter((mount) => !isCovered(mount));
  return [...system, ...[...shm, ...requested].sort((a, b) => depth(a) - depth(b))];
}
