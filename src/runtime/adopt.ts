import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { messageOf } from '#base/errors';
import { connect, killShimTree } from './pods.ts';
import type { AdoptedContainer, AdoptedPod, KnownContainer } from './runtime.ts';
import { type RuntimeParts, shimOf } from './runtime-parts.ts';
import type { ContainerEntry__Output } from './shim/gen/berth/shim/ContainerEntry.ts';
import { toExitInfo } from './shim/pod-directory.ts';
import type { PodShim } from './shim/pod-shim.ts';

/** A shim that does not greet within this time is as good as dead: its event loop never waits for anything. */
const greetMs = 5_000;

/** Takes over the shims that an earlier berthd left running; ends what has no shim any more. */
export async function adopt(
  parts: RuntimeParts,
  ctx: Ctx,
  podIds: readonly string[],
  containers: readonly KnownContainer[],
): Promise<readonly AdoptedPod[]> {
  const byPod = Map.groupBy(containers, (container) => container.podId);
  return Promise.all(podIds.map((podId) => adoptOne(parts, ctx, podId, byPod.get(podId) ?? [])));
}

async function adoptOne(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  containers: readonly KnownContainer[],
): Promise<AdoptedPod> {
  try {
    const shim = await reach(parts, ctx, podId);
    for (const { id, cgroupPath } of containers) shim.cgroupPaths.set(id, cgroupPath);
    const entries = await greet(shim, ctx);
    parts.shims.set(podId, shim);
    return {
      podId,
      alive: true,
      process: { pausePid: shim.pausePid, shimPid: shim.shimPid, startedAtNs: shim.startedAtNs },
      containers: entries.map(toAdopted),
    };
  } catch (error) {
    return bury(parts, ctx, podId, containers, messageOf(error));
  }
}

async function reach(parts: RuntimeParts, ctx: Ctx, podId: string): Promise<PodShim> {
  ctx.signal.throwIfAborted();
  const directory = parts.directories.open(podId);
  try {
    return connect(parts, podId, directory);
  } catch (error) {
    directory[Symbol.dispose]();
    throw error;
  }
}

async function greet(shim: PodShim, ctx: Ctx): Promise<readonly ContainerEntry__Output[]> {
  using deadline = new Deadline(greetMs, `greeting the shim of pod ${shim.podId}`, ctx.signal);
  try {
    await shim.hello(deadline.signal);
    return await shim.state(deadline.signal);
  } catch (error) {
    shim[Symbol.dispose]();
    throw error;
  }
}

export async function containerState(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  id: string,
): Promise<AdoptedContainer | undefined> {
  const entries = await shimOf(parts, podId).state(ctx.signal);
  const entry = entries.find((one) => one.id === id);
  return entry && toAdopted(entry);
}

function toAdopted(entry: ContainerEntry__Output): AdoptedContainer {
  const states = { CREATED: 'created', RUNNING: 'running', EXITED: 'exited' } as const;
  return {
    id: entry.id,
    state: states[entry.state],
    pid: entry.pid,
    startedAtNs: BigInt(entry.started_at_ns),
    ...(entry.exit ? { exit: toExitInfo(entry.exit) } : {}),
  };
}

/** The pod has no shim: kill what it left, keep what it wrote. */
async function bury(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  containers: readonly KnownContainer[],
  reason: string,
): Promise<AdoptedPod> {
  const exits = await parts.directories.exits(ctx, podId);
  const kills = [
    killShimTree(parts, ctx, podId),
    ...containers.map((container) => parts.cgroups.kill(ctx, container.cgroupPath)),
  ];
  for (const result of await Promise.allSettled(kills)) {
    if (result.status === 'rejected')
      ctx.log.warn({ podId, err: result.reason as unknown }, 'could not end a lost pod');
  }
  return { podId, alive: false, reason, exits };
}
