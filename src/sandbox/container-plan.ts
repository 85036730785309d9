import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { Image } from '#images/image-store';
import type { ContainerInput } from '#runtime/container-input';
import { checkExecution } from '#runtime/exec-limits';
import { containerWords } from './container-spec.ts';
import type { ContainerIdentity } from './identity.ts';
import type { SandboxParts } from './parts.ts';
import type { Pod } from './pod.ts';
import { podFilesIn } from './pod-files.ts';
import type { ContainerMade } from './records.ts';
import { maxGroups, pathBytes } from './request-limits.ts';
import { chooseStopSignal } from './stop-signal.ts';

/** A container in the runtime's words, but for its image's layers, which are not leased yet, and its document. */
export interface ContainerPlan {
  readonly made: ContainerMade;
  readonly input: Omit<ContainerInput, 'document'>;
  readonly warnings: readonly string[];
}

/** Everything that can be checked is checked here, before anything is made. Throws INVALID_ARGUMENT, FAILED_PRECONDITION, UNIMPLEMENTED. */
export async function planContainer(
  parts: SandboxParts,
  ctx: Ctx,
  pod: Pod,
  id: string,
  { config }: ContainerIdentity,
  image: Image,
): Promise<ContainerPlan> {
  checkSupported(parts, pod, config);
  const ofImage: string[] = [];
  const warn = (message: string): number => ofImage.push(message);
  const { input, warnings, unknownSeccomp } = await containerWords({
    podId: pod.id,
    id,
    pod: pod.identity.config,
    config,
    image,
    accounts: await parts.images.accounts(ctx, image.id),
    warn,
    layers: { directory: '', lowers: [] },
    directory: path.join(parts.containersDirectory, id),
    podFiles: podFilesIn(path.join(parts.podsDirectory, pod.id)),
    nodeHostname: parts.hostname,
    defaultCgroupParent: parts.defaultCgroupParent,
    setupTimeoutMs: parts.timeouts.volumeMs,
    kernel: parts.runtime.features,
  });
  parts.unknownSeccomp.add({}, unknownSeccomp);
  checkExecution({ ...input, rlimits: [...input.rlimits, ...parts.runtime.features.rlimits] });
  checkTogether(input);
  const { uid, gid, additionalGids } = input.user;
  const made: ContainerMade = {
    imageId: image.id,
    cgroupPath: input.cgroupPath,
    logPath: input.logPath,
    user: { uid, gid, additionalGids },
    stopSignal: chooseStopSignal(config.stop_signal, image.config.stopSignal, warn),
  };
  return {
    made,
    warnings: [...ofImage, ...warnings],
    input: typeof input.pid === 'object' ? { ...input, pid: targetOf(parts, pod, input.pid.target) } : input,
  };
}

function checkSupported(parts: SandboxParts, pod: Pod, config: ContainerIdentity['config']): void {
  if (config.log_path.split('/').includes('..')) {
    throw new BerthError('INVALID_ARGUMENT', `log_path ${config.log_path} leaves the pod's log directory`);
  }
  // A path that ends like a directory cannot be a file.
  if (config.log_path !== '' && /(^|\/)\.?$/.test(config.log_path)) {
    throw new BerthError('INVALID_ARGUMENT', `log_path ${config.log_path} is not the path of a file`);
  }
  const podPid = pod.identity.config.linux?.security_context?.namespace_options?.pid ?? 'POD';
  if (config.linux?.security_context?.namespace_options?.pid === 'NODE' && podPid !== 'NODE') {
    throw new BerthError('INVALID_ARGUMENT', `pid namespace NODE: pod ${pod.id} was not made with the node's`);
  }
  if (config.mounts.some((mount) => mount.recursive_read_only) && !parts.runtime.features.recursiveReadOnlyMounts) {
    throw new BerthError('UNIMPLEMENTED', 'this kernel has no recursive read-only mounts');
  }
}

/** What is within its limits by itself, and more than the kernel takes with what the pod or the image adds. */
function checkTogether({ user, logPath }: Pick<ContainerInput, 'user' | 'logPath'>): void {
  const groups = user.additionalGids.length;
  if (groups > maxGroups) {
    throw new BerthError('INVALID_ARGUMENT', `the user is in ${groups} groups, at most ${maxGroups} are possible`);
  }
  const bytes = Buffer.byteLength(logPath);
  if (bytes > pathBytes) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `log_directory and log_path together have ${bytes} bytes, at most ${pathBytes} are possible`,
    );
  }
}

/** Whose pid namespace is joined: people name it by a prefix, the runtime by the whole id. */
function targetOf(parts: SandboxParts, pod: Pod, id: string): { readonly target: string } {
  const target = parts.pods.findContainer(id);
  if (target?.podId !== pod.id) {
    throw new BerthError('INVALID_ARGUMENT', `pid namespace TARGET: container ${id} not found in pod ${pod.id}`);
  }
  if (target.status.state !== 'running') {
    throw new BerthError('FAILED_PRECONDITION', `pid namespace TARGET: container ${target.id} is not running`);
  }
  return { target: target.id };
}
