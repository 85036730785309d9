import type { SecurityModules } from '#linux/security-modules';
import { BerthError } from '#base/errors';
import type { PodInput } from '#runtime/container-input';
import type { PodConfig } from './identity.ts';
import { checkSelinux } from './module-labels.ts';

/** @throws INVALID_ARGUMENT */
export function checkRuntimeHandler(handler: string, known: readonly string[]): void {
  if (known.includes(handler)) return;
  const names = known.map((name) => JSON.stringify(name)).join(', ');
  throw new BerthError('INVALID_ARGUMENT', `no runtime handler ${JSON.stringify(handler)}: there is ${names}`);
}

/** @throws INVALID_ARGUMENT */
export function checkCgroupParent(config: PodConfig, driver: 'cgroupfs' | 'systemd'): void {
  const parent = config.linux?.cgroup_parent ?? '';
  if (parent === '') return;
  const shown = JSON.stringify(parent.slice(0, 256));
  if (driver === 'cgroupfs' && parent.endsWith('.slice')) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `cgroup_parent ${shown} is a systemd slice, but the cgroup driver is cgroupfs: set the kubelet's cgroupDriver`,
    );
  }
  const words = parent.split('/');
  const clean = words.slice(1).every((word) => word !== '' && word !== '.' && word !== '..' && !/\p{Cc}/u.test(word));
  // The systemd driver is given names of slices, everybody else paths.
  const absolute = words[0] === '' && words.length > 1;
  if (!clean || !(absolute || (driver === 'systemd' && words.length === 1)) || parent.length > 1024) {
    throw new BerthError('INVALID_ARGUMENT', `cgroup_parent ${shown} is not an absolute path without "." and ".."`);
  }
}

/** A relative one would mean another place to each process that opens it. @throws INVALID_ARGUMENT */
export function checkLogDirectory({ log_directory: directory }: PodConfig): void {
  if (directory === '' || directory.startsWith('/')) return;
  const shown = JSON.stringify(directory.slice(0, 256));
  throw new BerthError('INVALID_ARGUMENT', `log_directory ${shown} is not an absolute path`);
}

/** @throws UNIMPLEMENTED */
export function checkUsers({ users }: Pick<PodInput, 'users'>, supported: boolean): void {
  if (!users || supported) return;
  const message = 'this node cannot give a pod users of its own: its kernel must map ids of tmpfs, as Linux 6.3 does';
  throw new BerthError('UNIMPLEMENTED', message);
}

/** Containers without options of their own would have the pod's. @throws INVALID_ARGUMENT, FAILED_PRECONDITION */
export function checkPodLabels(config: PodConfig, active: SecurityModules): void {
  const context = config.linux?.security_context;
  if (context) checkSelinux(context.selinux_options, active, context.privileged);
}
