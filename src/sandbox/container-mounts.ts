import { BerthError } from '#base/errors';
import type { Mount__Output } from '#cri-api/gen/runtime/v1/Mount';
import type { MountInput, UserNamespace } from '#runtime/container-input';
import { placeInRoot } from '#runtime/spec/mounts';
import { isIdmapped } from './user-namespace.ts';

const propagations = {
  PROPAGATION_PRIVATE: 'private',
  PROPAGATION_HOST_TO_CONTAINER: 'hostToContainer',
  PROPAGATION_BIDIRECTIONAL: 'bidirectional',
} as const;

const knownOptions = new Set(['noexec', 'nodev', 'nosuid']);

/** The request's volumes. Nothing here touches their paths: only the container's own child does. */
export function volumeMounts(mounts: readonly Mount__Output[], users?: UserNamespace): readonly MountInput[] {
  return mounts.map((mount) => volumeMount(mount, users));
}

function volumeMount(mount: Mount__Output, users: UserNamespace | undefined): MountInput {
  const name = `mount ${mount.container_path.slice(0, 256)}`;
  const refuse = (code: 'INVALID_ARGUMENT' | 'UNIMPLEMENTED', why: string): never => {
    throw new BerthError(code, `${name}: ${why}`);
  };
  if (mount.image && mount.image.image !== '') refuse('UNIMPLEMENTED', 'image volumes are not supported yet');
  if (mount.container_path === '' || mount.container_path.includes('\0'))
    refuse('INVALID_ARGUMENT', 'container_path is missing');
  if (placeInRoot(mount.container_path) === '/') refuse('INVALID_ARGUMENT', 'container_path is the root itself');
  if (!mount.host_path.startsWith('/') || mount.host_path.includes('\0')) {
    refuse('INVALID_ARGUMENT', `host_path "${mount.host_path.slice(0, 256)}" is not an absolute path`);
  }
  const propagation = Object.hasOwn(propagations, mount.propagation)
    ? propagations[mount.propagation]
    : refuse('INVALID_ARGUMENT', `propagation ${mount.propagation as string} is unknown`);
  if (mount.recursive_read_only) {
    // KEP-3857
    if (!mount.readonly) refuse('INVALID_ARGUMENT', 'recursive_read_only needs readonly');
    if (propagation !== 'private') refuse('INVALID_ARGUMENT', 'recursive_read_only needs private propagation');
  }
  const unknown = mount.mount_options.find((option) => !knownOptions.has(option));
  if (unknown !== undefined)
    refuse('INVALID_ARGUMENT', `mount option ${unknown.slice(0, 64)} is not noexec, nodev or nosuid`);
  return {
    source: mount.host_path,
    destination: mount.container_path,
    readonly: mount.readonly,
    recursiveReadonly: mount.recursive_read_only,
    propagation,
    volume: true,
    idmapped: isIdmapped(mount.uidMappings, mount.gidMappings, users, name),
    noexec: mount.mount_options.includes('noexec'),
    nodev: mount.mount_options.includes('nodev'),
    nosuid: mount.mount_options.includes('nosuid'),
  };
}

/** The pod's own files, except where the request mounts something of its own (a kubelet brings its /etc/hosts). */
export function podFileMounts(
  files: Readonly<Record<string, string>>,
  requested: readonly MountInput[],
  readonly: boolean,
): readonly MountInput[] {
  const taken = new Set(requested.map((mount) => placeInRoot(mount.destination)));
  return Object.entries(files)
    .filter(([destination]) => !taken.has(destination))
    .map(([destination, source]) => ({
      source,
      destination,
      readonly,
      recursiveReadonly: false,
      propagation: 'private',
      volume: false,
      // They are text. They lie on the node's file system: nothing that a container makes of them runs anywhere.
      nosuid: true,
      nodev: true,
      noexec: true,
    }));
}

/** File systems of the container's own: a VOLUME of the image at one of them, or below, is covered by it. */
const systemPlaces = ['/proc', '/sys', '/dev'];

/** VOLUMEs of the image that no mount covers: they stay writable under a read-only root. */
export function uncoveredVolumes(volumes: readonly string[], mounts: readonly MountInput[]): readonly string[] {
  const covered = new Set(mounts.map((mount) => placeInRoot(mount.destination)));
  const isCovered = (volume: string): boolean =>
    volume === '/' ||
    covered.has(volume) ||
    systemPlaces.some((place) => volume === place || volume.startsWith(`${place}/`));
  return volumes.map(placeInRoot).filter((volume) => !isCovered(volume));
}
