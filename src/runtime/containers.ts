import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import type { Ctx } from '#base/ctx';
import { Deadline, sleep } from '#base/deadline';
import { BerthError, isBerthError, messageOf } from '#base/errors';
import { Rollback } from '#base/rollback';
import type { ContainerInput } from './container-input.ts';
import { compilePlan } from './plan/compile-plan.ts';
import { requirements } from './plan/requires.ts';
import { throwWhy } from './out-of-memory.ts';
import type { CreatedContainer } from './runtime.ts';
import { type RuntimeParts, shimOf } from './runtime-parts.ts';
import type { NsMode } from './shim/gen/berth/shim/NsMode.ts';
import type { PodShim } from './shim/pod-shim.ts';
import { encodePlan } from './shim/protocol.ts';
import { type BuiltSpec, buildSpec } from './spec/build-spec.ts';
import type { CgroupHandle } from './cgroup/cgroups.ts';

/** Makes a container: spec, cgroup, plan, and the process up to the last step before execve. */
export async function createContainer(parts: RuntimeParts, ctx: Ctx, input: ContainerInput): Promise<CreatedContainer> {
  const shim = shimOf(parts, input.podId);
  if (shim.cgroupPaths.has(input.id) || shim.pids.has(input.id)) {
    throw new BerthError('ALREADY_EXISTS', `pod ${input.podId} has a container ${input.id}`);
  }
  const rollback = new Rollback();
  // Before anything waits: of two calls with one id the second sees it.
  shim.cgroupPaths.set(input.id, input.cgroupPath);
  rollback.push(`shim entry ${input.id}`, () => shim.forget(input.id));
  try {
    ctx.stage('spec');
    const built = await buildSpec(ctx, input, surroundings(parts, shim, input));
    const { seccomp: profile, resources } = built.spec.linux;
    ctx.stage('cgroup');
    rollback.push(`cgroup ${input.cgroupPath}`, (cleanup) => removeCgroup(parts, cleanup, input.id, input.cgroupPath));
    const [cgroup, seccomp] = await Promise.all([
      parts.cgroups.create(ctx, input.cgroupPath, resources),
      profile ? parts.filters.get(profile) : undefined,
    ]);
    ctx.stage('process');
    rollback.push(`document of container ${input.id}`, () => parts.directories.removeContainer(input.podId, input.id));
    await parts.directories.writeContainer(input.podId, input.id, input.document(built.spec));
    const plan = encodePlan(compilePlan({ spec: built.spec, rootfs: input.rootfs, cgroup, seccomp }));
    // Asked, it may be made although nobody waits for the answer any more.
    rollback.push(`process of container ${input.id}`, (cleanup) => endUnknown(parts, cleanup, shim, input));
    const created = await askShim(ctx, shim, input, requirements(input, built.spec), plan, cgroup).catch(
      (error: unknown) => throwWhy(ctx, parts.addon, input.id, cgroup, error),
    );
    shim.pids.set(input.id, created.pid);
    rollback.commit();
    return result(input, built, cgroup, created);
  } catch (error) {
    if (isBerthError(error, 'PATH_UNRESPONSIVE')) parts.graveyard.add(input.id, input.cgroupPath, error.message);
    await rollback.rollBack(ctx);
    throw error;
  }
}

/** Ends a container that is made, being made, or was refused by the shim. */
async function endUnknown(parts: RuntimeParts, ctx: Ctx, shim: PodShim, input: ContainerInput): Promise<void> {
  if (!parts.graveyard.has(input.id)) await endGroup(parts, ctx, input.id, input.cgroupPath);
  if (shim.connected) await deleteWhenEnded(parts, ctx, shim, input.id);
}

/** A process that hangs in the kernel keeps its cgroup: nobody waits for it. */
async function removeCgroup(parts: RuntimeParts, ctx: Ctx, id: string, cgroupPath: string): Promise<void> {
  if (!parts.graveyard.has(id)) await parts.cgroups.remove(ctx, cgroupPath);
}

function surroundings(parts: RuntimeParts, shim: PodShim, input: ContainerInput): Parameters<typeof buildSpec>[2] {
  const targetPid = typeof input.pid === 'object' ? shim.pids.get(input.pid.target) : undefined;
  if (typeof input.pid === 'object' && targetPid === undefined) {
    throw new BerthError(
      'NOT_FOUND',
      `container ${input.pid.target}, whose pid namespace is to be joined, is not running`,
    );
  }
  return {
    heldCapabilities: parts.heldCapabilities,
    architectures: parts.architectures,
    rlimits: parts.rlimits,
    namespacePath: (pid, name) => `/proc/${pid}/ns/${name}`,
    pausePid: shim.pausePid,
    ...(targetPid === undefined ? {} : { targetPid }),
  };
}

async function askShim(
  ctx: Ctx,
  shim: PodShim,
  input: ContainerInput,
  requires: string[],
  plan: Uint8Array,
  cgroup: CgroupHandle,
): Promise<{ readonly pid: number; readonly warnings: readonly string[] }> {
  const request = {
    create_container: {
      requires,
      id: input.id,
      plan: Buffer.from(plan.buffer, plan.byteOffset, plan.byteLength),
      pid: pidMode(input),
      pid_target_id: typeof input.pid === 'object' ? input.pid.target : '',
      kill_dir: cgroup.killDir,
      kill_dir_v2: cgroup.killDirV2,
      oom_file: cgroup.oomFile,
      log_path: input.logPath,
      tty: input.tty,
      stdin: input.stdin,
      stdin_once: input.stdinOnce,
      setup_timeout_ms: input.setupTimeoutMs,
    },
  };
  const { container_created: created } = await shim.call(request, `create container ${input.id}`, ctx.signal);
  if (!created) throw new BerthError('INTERNAL', `shim did not say that container ${input.id} was created`);
  return created;
}

function pidMode(input: ContainerInput): NsMode {
  if (typeof input.pid === 'object') return 'NS_CONTAINER';
  return input.pid === 'pod' ? 'NS_POD' : input.pid === 'node' ? 'NS_HOST' : 'NS_NEW';
}

function result(
  input: ContainerInput,
  built: BuiltSpec,
  cgroup: CgroupHandle,
  created: { readonly pid: number; readonly warnings: readonly string[] },
): CreatedContainer {
  const warnings = [...built.warnings, ...cgroup.warnings, ...created.warnings];
  return { pid: created.pid, cgroupPath: input.cgroupPath, warnings, spec: built.spec };
}

/** Lets a created container go. */
export async function startContainer(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  id: string,
): Promise<{ readonly startedAtNs: bigint }> {
  const doing = `start container ${id}`;
  const response = await shimOf(parts, podId).call({ start_container: { id } }, doing, ctx.signal);
  if (!response.container_started) throw new BerthError('INTERNAL', `shim did not say that container ${id} started`);
  return { startedAtNs: BigInt(response.container_started.started_at_ns) };
}

/** Sends a signal; a container or pod that is gone has nothing to be told. */
export async function signalContainer(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  id: string,
  signal: number,
  all: boolean,
): Promise<void> {
  const shim = parts.shims.get(podId);
  if (!shim?.connected) return;
  try {
    await shim.call({ kill_container: { id, signal, all } }, `signal container ${id}`, ctx.signal);
  } catch (error) {
    if (isBerthError(error, 'NOT_FOUND') || isBerthError(error, 'FAILED_PRECONDITION')) return;
    throw error;
  }
}

/** Removes what is left: the shim's entry with its exit record, the cgroup, the document. */
export async function removeContainer(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  id: string,
  cgroupPath: string,
): Promise<void> {
  const shim = parts.shims.get(podId);
  const known = shim?.connected ? await deleteEntry(ctx, shim, id) : 'unknown';
  if (known === 'running' && shim?.pids.has(id)) {
    throw new BerthError('FAILED_PRECONDITION', `container ${id} runs: stop it first`);
  }
  // Nobody else ends what may still run in it: one whose setup hangs, or the shim is gone.
  if (known !== 'deleted' && !parts.graveyard.has(id)) await endGroup(parts, ctx, id, cgroupPath);
  if (known === 'running' && shim) await deleteWhenEnded(parts, ctx, shim, id);
  await removeCgroup(parts, ctx, id, cgroupPath);
  await parts.directories.removeContainer(podId, id);
  shim?.forget(id);
}

/** `running`: the shim does not let go of it, since it runs, or is still being set up. */
async function deleteEntry(ctx: Ctx, shim: PodShim, id: string): Promise<'deleted' | 'running' | 'unknown'> {
  try {
    await shim.call({ delete_container: { id } }, `remove container ${id}`, ctx.signal);
    return 'deleted';
  } catch (error) {
    if (isBerthError(error, 'NOT_FOUND') || isBerthError(error, 'SHIM_DIED')) return 'unknown';
    if (isBerthError(error, 'FAILED_PRECONDITION')) return 'running';
    throw error;
  }
}

/** How long a killed process may take to go before it is left behind. */
const endMs = 2_000;

async function endGroup(parts: RuntimeParts, ctx: Ctx, id: string, cgroupPath: string): Promise<void> {
  using deadline = new Deadline(endMs, `killing ${cgroupPath}`, ctx.signal);
  try {
    await parts.cgroups.kill(ctx.detach(deadline.signal), cgroupPath);
  } catch (error) {
    ctx.signal.throwIfAborted();
    parts.graveyard.add(id, cgroupPath, messageOf(error));
  }
}

/** Its processes were killed: the shim hears of it in its own time. */
async function deleteWhenEnded(parts: RuntimeParts, ctx: Ctx, shim: PodShim, id: string): Promise<void> {
  while (!parts.graveyard.has(id) && (await deleteEntry(ctx, shim, id)) === 'running') await sleep(10, ctx.signal);
}

/** Ends a container that only the shim knows. Where its groups are, only its processes tell. */
export async function endContainer(parts: RuntimeParts, ctx: Ctx, podId: string, id: string): Promise<void> {
  const shim = shimOf(parts, podId);
  const pid = shim.pids.get(id) ?? 0;
  const text = pid > 0 ? await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '') : '';
  const group = parts.cgroups.groupOf(text);
  // In a group of its own for sure, and with all that it has made below.
  const steps = group?.split('/') ?? [];
  const own = steps.lastIndexOf(id);
  const cgroupPath = own > 0 ? steps.slice(0, own + 1).join('/') : undefined;
  if (pid > 0) await signalContainer(parts, ctx, podId, id, constants.signals.SIGKILL, true);
  if (cgroupPath !== undefined) await endGroup(parts, ctx, id, cgroupPath);
  await deleteWhenEnded(parts, ctx, shim, id);
  if (cgroupPath !== undefined) await removeCgroup(parts, ctx, id, cgroupPath);
  await parts.directories.removeContainer(podId, id);
  shim.forget(id);
}

export async function reopenLog(parts: RuntimeParts, ctx: Ctx, podId: string, id: string): Promise<void> {
  await shimOf(parts, podId).call(
    { reopen_log: { container_id: id } },
    `reopen the log of container ${id}`,
    ctx.signal,
  );
}

export async function acknowledgeExit(parts: RuntimeParts, ctx: Ctx, podId: string, id: string): Promise<void> {
  const shim = parts.shims.get(podId);
  if (!shim?.connected) return;
  await shim.call({ ack_exit: { container_id: id } }, `acknowledge the exit of container ${id}`, ctx.signal);
}
