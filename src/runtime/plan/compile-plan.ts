import { BerthError } from '#base/errors';
import type { CgroupHandle } from '#runtime/cgroup/cgroups';
import type { RootfsInput } from '#runtime/container-input';
import type { SeccompFilter } from '#runtime/seccomp/filters';
import type { ContainerPlan } from '#runtime/shim/gen/berth/shim/ContainerPlan';
import type { Mount } from '#runtime/shim/gen/berth/shim/Mount';
import type { NsMode } from '#runtime/shim/gen/berth/shim/NsMode';
import { onlyIfThere, podShmSource, sourceRequired } from '#runtime/spec/mounts';
import type { OciMount, OciSpec } from '#runtime/spec/oci';
import { parseMountOptions } from './mount-options.ts';
import { compileProcess } from './process-plan.ts';

export interface PlanInput {
  readonly spec: OciSpec;
  readonly rootfs: RootfsInput;
  readonly cgroup: CgroupHandle;
  readonly seccomp: SeccompFilter | undefined;
}

/** S_IFCHR, S_IFBLK, S_IFIFO */
const fileTypes = { c: 0o020000, b: 0o060000, p: 0o010000 } as const;

/** Overlay options besides the directories; index off: work directories never meet another upper. */
const overlayOptions = 'index=off';

/** Turns an OCI spec into what the shim's child does, step by step. Pure: NRI edits and hooks slot in before it. */
export function compilePlan({ spec, rootfs, cgroup, seccomp }: PlanInput): ContainerPlan {
  const joined = new Set(spec.linux.namespaces.map((namespace) => namespace.type));
  const mode = (type: 'network' | 'ipc' | 'uts'): NsMode => (joined.has(type) ? 'NS_POD' : 'NS_HOST');
  return {
    net: mode('network'),
    ipc: mode('ipc'),
    uts: mode('uts'),
    user: joined.has('user') ? 'NS_POD' : 'NS_HOST',
    cgroup_dirs: cgroup.enter.map(({ dir, v2 }) => ({ dir, v2 })),
    rootfs: {
      layers_dir: rootfs.layersDirectory,
      lowers: [...rootfs.lowers],
      upper: rootfs.upper,
      work: rootfs.work,
      options: overlayOptions,
      readonly: spec.root.readonly,
      volumes: [...rootfs.volumes],
    },
    mounts: spec.mounts.map(compileMount),
    masked_paths: [...spec.linux.maskedPaths],
    readonly_paths: [...spec.linux.readonlyPaths],
    devices: spec.linux.devices.map((device) => ({
      path: device.path,
      type: fileTypes[device.type],
      major: device.major,
      minor: device.minor,
      mode: device.fileMode,
      uid: device.uid,
      gid: device.gid,
      source: device.source ?? '',
      by_default: device.byDefault ?? false,
    })),
    sysctls: Object.entries(spec.linux.sysctl).map(([name, value]) => ({ name, value })),
    process: compileProcess(spec.process, seccomp),
  };
}

function compileMount(mount: OciMount): Mount {
  const options = parseMountOptions(mount.options);
  const common = {
    destination: mount.destination,
    flags: options.flags.toString(),
    propagation: options.propagation,
    recursive: options.recursive,
    recursive_readonly: options.recursiveReadonly,
    if_there: options.words.has(onlyIfThere),
  };
  if (mount.source === podShmSource) return { ...common, kind: 'POD_SHM' };
  if (mount.type === 'cgroup') return { ...common, kind: 'CGROUP' };
  if (!options.bind) return { ...common, kind: 'FS', source: mount.source, fstype: mount.type, data: options.data };
  if (options.data !== '') {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `mount ${mount.destination}: options ${options.data} do not fit a bind mount`,
    );
  }
  return {
    ...common,
    kind: 'BIND',
    source: mount.source,
    create_source: !options.words.has(sourceRequired),
    volume: true,
    idmapped: options.idmapped,
  };
}
