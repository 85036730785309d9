import path from 'node:path';
import type { SecurityModules } from '#linux/security-modules';
import { BerthError } from '#base/errors';
import type { ContainerConfig__Output } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { Device__Output } from '#cri-api/gen/runtime/v1/Device';
import type { PodSandboxConfig__Output } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import type { Image, RootfsLayers } from '#images/image-store';
import type { ContainerInput, DeviceInput } from '#runtime/container-input';
import { placeInRoot } from '#runtime/spec/mounts';
import { containerArgs, containerEnv } from './container-env.ts';
import { podFileMounts, uncoveredVolumes, volumeMounts } from './container-mounts.ts';
import { containerResources, oomScoreAdj } from './container-resources.ts';
import { capabilities, chooseSeccomp, maskedPaths } from './container-security.ts';
import { type Accounts, resolveUser } from './container-user.ts';
import { checkSelinux, chooseAppArmor } from './module-labels.ts';
import type { PodFiles } from './pod-files.ts';
import { podHostname, podNamespaces } from './pod-spec.ts';
import { checkSameUsers, userNamespace } from './user-namespace.ts';

export interface ContainerSpecInput {
  readonly podId: string;
  readonly id: string;
  readonly pod: PodSandboxConfig__Output;
  readonly config: ContainerConfig__Output;
  readonly image: Image;
  readonly accounts: Accounts;
  /** Told what of the image is passed over. */
  readonly warn: (message: string) => void;
  readonly layers: RootfsLayers;
  /** The container's own directory: upper and work of its overlay lie in it. */
  readonly directory: string;
  readonly podFiles: PodFiles;
  readonly nodeHostname: string;
  readonly defaultCgroupParent: string;
  readonly setupTimeoutMs: number;
  readonly kernel: SecurityModules;
}

export interface ContainerWords {
  readonly input: Omit<ContainerInput, 'document'>;
  /** What means less on this node than it says. */
  readonly warnings: readonly string[];
  /** Fields of its seccomp profile that nobody knows. */
  readonly unknownSeccomp: number;
}

/**
 * A container's request, the CRI's words, in the runtime's. Throws INVALID_ARGUMENT, FAILED_PRECONDITION or UNIMPLEMENTED,
 * never half-does.
 */
export async function containerWords(input: ContainerSpecInput): Promise<ContainerWords> {
  const { pod, config, image } = input;
  const context = config.linux?.security_context ?? null;
  refuseUnsupported(config);
  const namespaces = podNamespaces(pod);
  const hostname = podHostname(pod, input.nodeHostname);
  const user = await resolveUser(context, image.config.user, input.accounts, input.warn);
  const users = userNamespace(pod.linux?.security_context?.namespace_options ?? null);
  checkSameUsers(context?.namespace_options ?? null, users);
  const volumes = volumeMounts(config.mounts, users);
  const readonly = context?.readonly_rootfs ?? false;
  const mounts = [...podFileMounts(input.podFiles, volumes, readonly), ...volumes];
  const paths = maskedPaths(context, users !== undefined);
  const apparmor = chooseAppArmor(context, input.kernel);
  const seccomp = await chooseSeccomp(context, input.kernel.seccomp);
  const privileged = context?.privileged ?? false;
  refusePrivilegedInPlainPod(pod, privileged);
  checkSelinux(context?.selinux_options ?? null, input.kernel, privileged);
  const words: ContainerWords['input'] = {
    podId: input.podId,
    id: input.id,
    pid: pidPlace(config, namespaces.pid),
    network: namespaces.network,
    ipc: namespaces.ipc,
    uts: namespaces.network,
    ...(users && { users }),
    hostname,
    cgroupPath: path.posix.join(cgroupParent(pod, input.defaultCgroupParent), input.id),
    resources: containerResources(config.linux?.resources ?? null),
    oomScoreAdj: oomScoreAdj(config.linux?.resources ?? null),
    rootfs: {
      layersDirectory: input.layers.directory,
      lowers: input.layers.lowers,
      upper: path.join(input.directory, 'upper'),
      work: path.join(input.directory, 'work'),
      // The root is no mount that lies at a path in it.
      readonly: readonly || (!privileged && paths.readonly.some(isRoot)),
      volumes: uncoveredVolumes(image.config.volumes, mounts),
    },
    args: containerArgs(config.command, config.args, image.config),
    env: containerEnv({ image: image.config, requested: config.envs, hostname, home: user.home, tty: config.tty }),
    cwd: workingDirectory(config.working_dir || image.config.workingDir),
    user,
    tty: config.tty,
    stdin: config.stdin,
    stdinOnce: config.stdin_once,
    privileged,
    noNewPrivileges: context?.no_new_privs ?? false,
    capabilities: capabilities(context),
    seccomp: seccomp.seccomp,
    apparmorProfile: apparmor.profile,
    selinuxLabel: '',
    maskedPaths: paths.masked,
    readonlyPaths: paths.readonly.filter((each) => !isRoot(each)),
    mounts,
    devices: config.devices.map(deviceInput),
    sysctls: {},
    annotations: config.annotations,
    rlimits: [],
    logPath: logPath(pod, config),
    setupTimeoutMs: input.setupTimeoutMs,
  };
  const warnings = [...apparmor.warnings, ...seccomp.warnings];
  return { input: words, warnings, unknownSeccomp: seccomp.unknownFields };
}

function deviceInput({ host_path: hostPath, container_path, permissions }: Device__Output): DeviceInput {
  const refuse = (field: string, why: string): never => {
    throw new BerthError('INVALID_ARGUMENT', `device ${container_path.slice(0, 256)}: ${field} ${why}`);
  };
  if (!container_path.startsWith('/')) refuse('container_path', 'is not an absolute path');
  const containerPath = placeInRoot(container_path);
  if (containerPath === '/') refuse('container_path', 'is the root itself');
  if (!hostPath.startsWith('/'))
    refuse('host_path', `${JSON.stringify(hostPath.slice(0, 256))} is not an absolute path`);
  if (!/^(?!.*(.).*\1)[rwm]*$/.test(permissions)) {
    refuse('permissions', `${JSON.stringify(permissions.slice(0, 32))} are not letters of "rwm"`);
  }
  return { hostPath, containerPath, permissions };
}

function refuseUnsupported(config: ContainerConfig__Output): void {
  if (config.CDI_devices.length > 0) throw new BerthError('UNIMPLEMENTED', 'CDI devices are not supported yet');
}

/** A pod that did not announce privileged containers cannot be given one later. */
function refusePrivilegedInPlainPod(pod: PodSandboxConfig__Output, privileged: boolean): void {
  if (privileged && pod.linux?.security_context?.privileged !== true) {
    throw new BerthError('INVALID_ARGUMENT', 'a privileged container needs a pod whose security context is privileged');
  }
}

function pidPlace(config: ContainerConfig__Output, podMode: 'pod' | 'container' | 'node'): ContainerInput['pid'] {
  const options = config.linux?.security_context?.namespace_options;
  if (!options) return podMode;
  switch (options.pid) {
    case 'TARGET':
      if (options.target_id === '')
        throw new BerthError('INVALID_ARGUMENT', 'pid namespace mode TARGET needs target_id');
      return { target: options.target_id };
    case 'CONTAINER':
      return 'container';
    case 'NODE':
      return 'node';
    case 'POD':
      // Only a pod made for it has a pid namespace to share.
      return podMode;
    default:
      throw new BerthError('INVALID_ARGUMENT', `pid namespace mode ${options.pid as string} is unknown`);
  }
}

export function cgroupParent(pod: PodSandboxConfig__Output, defaultParent: string): string {
  const parent = pod.linux?.cgroup_parent ?? '';
  return parent === '' ? defaultParent : parent;
}

const isRoot = (file: string): boolean => path.posix.resolve('/', file) === '/';

/** An image may say "app"; it means "/app". */
function workingDirectory(directory: string): string {
  if (directory.includes('\0')) throw new BerthError('INVALID_ARGUMENT', 'the working directory has a zero byte');
  return path.posix.normalize(`/${directory}`);
}

/** "" when the pod or the container names no place for logs. */
export function logPath(pod: PodSandboxConfig__Output, config: ContainerConfig__Output): string {
  if (pod.log_directory === '' || config.log_path === '') return '';
  return path.join(pod.log_directory, config.log_path);
}
