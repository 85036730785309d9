import { BerthError } from '#base/errors';

const maxPath = 3072;

/**
 * Checks a cgroup path of the cgroupfs driver: absolute, plain names. A systemd slice ("kubepods.slice", a relative name)
 * means that the kubelet uses the other driver: saying so is more help than a directory of that name.
 */
export function checkCgroupPath(path: string): void {
  if (path.endsWith('.slice') && !path.startsWith('/')) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `cgroup parent ${path} is a systemd slice, but berthd uses the cgroupfs driver: set cgroupDriver: cgroupfs in the kubelet`,
    );
  }
  const names = path.split('/').slice(1);
  const plain = path.startsWith('/') && path.length <= maxPath && names.every(isPlainName);
  if (!plain)
    throw new BerthError(
      'INVALID_ARGUMENT',
      `cgroup parent ${path.slice(0, 256)} is not an absolute path of plain names`,
    );
}

function isPlainName(name: string): boolean {
  // No control characters: /proc/<pid>/cgroup is read line by line.
  return name !== '' && name !== '.' && name !== '..' && name.length <= 255 && !/[\0-\x1f\x7f]/.test(name);
}

/** "/a/b/c" → "/a", "/a/b" */
export function ancestorsOf(path: string): string[] {
  const names = path.split('/').slice(1, -1);
  return names.map((_name, at) => `/${names.slice(0, at + 1).join('/')}`);
}
