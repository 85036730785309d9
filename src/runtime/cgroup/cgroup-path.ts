import { BerthError } from '#base/errors';

/**
 * The path of a control group as the CRI and the OCI specification write it. Gives it without a trailing slash; throws
 * INVALID_ARGUMENT for what could lead elsewhere.
 */
export function checkCgroupPath(path: string): string {
  const refuse = (why: string): never => {
    throw new BerthError('INVALID_ARGUMENT', `cgroup path ${JSON.stringify(path.slice(0, 256))} ${why}`);
  };
  if (!path.startsWith('/')) refuse('is not absolute');
  if (path.length > 3072) refuse('is too long');
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(path)) refuse('has control characters');
  const parts = path.split('/').filter((part) => part !== '');
  for (const part of parts) {
    if (part === '.' || part === '..') refuse(`has "${part}"`);
    if (Buffer.byteLength(part) > 255) refuse('has a component of more than 255 bytes');
  }
  return `/${parts.join('/')}`;
}

/** The group and all above it, the topmost first, without the root: `/a/b` gives `/a`, `/a/b`. */
export function lineage(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '');
  return parts.map((_part, index) => `/${parts.slice(0, index + 1).join('/')}`);
}

/** Refuses what the cgroupfs driver cannot mean: the kubelet's paths for the systemd driver. */
export function checkCgroupfsParent(parent: string): void {
  const name = parent.split('/').findLast((part) => part !== '') ?? '';
  if (name.endsWith('.slice') || name.endsWith('.scope') || parent.includes(':')) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `cgroup parent ${JSON.stringify(parent.slice(0, 256))} is meant for the systemd driver, but cgroup.driver is ` +
        'cgroupfs: set the kubelet’s cgroupDriver to cgroupfs',
    );
  }
  checkCgroupPath(parent);
}
