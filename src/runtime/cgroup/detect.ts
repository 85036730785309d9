/** One cgroup v1 hierarchy: where it is mounted and what it controls. */
export interface Hierarchy {
  readonly mountpoint: string;
  /** Controllers, or the name of a hierarchy without any ("name=systemd"). */
  readonly controllers: readonly string[];
}

export type CgroupLayout =
  | { readonly version: 1; readonly hierarchies: readonly Hierarchy[] }
  | { readonly version: 2; readonly mountpoint: string };

const place = '/sys/fs/cgroup';

/**
 * Which cgroup version this machine uses, from the text of /proc/self/mountinfo. Version 2 only when /sys/fs/cgroup
 * itself is of that type: in the hybrid layout a v2 tree lies beside the v1 ones and controls nothing, and it may well be
 * the first cgroup mount of all.
 */
export function detectLayout(mountinfo: string): CgroupLayout {
  const mounts = mountinfo.split('\n').flatMap(parseLine);
  const unified = mounts.filter((mount) => mount.mountpoint === place).at(-1);
  if (unified?.fstype === 'cgroup2') return { version: 2, mountpoint: place };
  const hierarchies = new Map<string, Hierarchy>();
  for (const mount of mounts) {
    if (mount.fstype !== 'cgroup' || !mount.mountpoint.startsWith(`${place}/`)) continue;
    const controllers = mount.superOptions.filter((option) => !generalOptions.has(option) && !isSetting(option));
    // A hierarchy mounted twice (cpu and cpu,cpuacct) counts once.
    const key = controllers.join(',');
    if (!hierarchies.has(key)) hierarchies.set(key, { mountpoint: mount.mountpoint, controllers });
  }
  return { version: 1, hierarchies: [...hierarchies.values()] };
}

const generalOptions = new Set([
  'rw',
  'ro',
  'xattr',
  'clone_children',
  'noprefix',
  'cpuset_v2_mode',
  'favordynmods',
  'seclabel',
]);
const isSetting = (option: string): boolean => option.includes('=') && !option.startsWith('name=');

interface MountLine {
  readonly mountpoint: string;
  readonly fstype: string;
  readonly superOptions: readonly string[];
}

/** Fields of a line (proc(5)): id, parent, dev, root, mount point, options, optional fields, "-", type, source, super options. */
function parseLine(line: string): MountLine[] {
  const [left, right] = line.split(' - ');
  const mountpoint = left?.split(' ')[4];
  const [fstype, , superOptions] = right?.split(' ') ?? [];
  if (mountpoint === undefined || fstype === undefined || superOptions === undefined) return [];
  return [{ mountpoint: mountpoint.replace(/\\040/g, ' '), fstype, superOptions: superOptions.split(',') }];
}
