import type { ContainerInput } from '#runtime/container-input';
import { placeInRoot } from '#runtime/spec/mounts';
import type { OciSpec } from '#runtime/spec/oci';

/** Where things are put that nobody asked for: devices, the pod's files. */
const isFilled = (place: string): boolean => place === '/dev' || place === '/etc';

/**
 * What a shim must know to run this container as it is meant to run. A shim may be months older than berthd: it refuses a
 * container whose confinement it would drop by not knowing the field.
 */
export function requirements(input: ContainerInput, spec: OciSpec): string[] {
  const wanted: readonly (readonly [string, boolean])[] = [
    ['overlay', true],
    ['cgroup-mount', true],
    ['pod-shm', true],
    ['rlimits', spec.process.rlimits.length > 0],
    ['seccomp', spec.linux.seccomp !== undefined],
    ['apparmor', spec.process.apparmorProfile !== undefined],
    ['selinux', spec.process.selinuxLabel !== undefined],
    ['sysctls', Object.keys(spec.linux.sysctl).length > 0],
    ['propagation', input.mounts.some((mount) => mount.propagation !== 'private')],
    ['recursive-readonly', input.mounts.some((mount) => mount.recursiveReadonly)],
    ['image-volumes', input.rootfs.volumes.length > 0],
    ['log', input.logPath !== ''],
    ['terminal', input.tty],
    ['user-namespaces', input.users !== undefined],
    ['volumes-kept', input.mounts.some(({ volume, destination }) => volume && isFilled(placeInRoot(destination)))],
    ['pid-container', typeof input.pid === 'object'],
  ];
  return wanted.filter(([, needed]) => needed).map(([name]) => name);
}
