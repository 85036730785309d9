import type { Ctx } from '#base/ctx';
import { Deadline, sleep } from '#base/deadline';
import { errnoOf, messageOf } from '#base/errors';
import { connect, killShimTree } from './pods.ts';
import type { AdoptedContainer, AdoptedPod, AnsweredPod, KnownContainer, LostPod } from './runtime.ts';
import { type RuntimeParts, shimOf } from './runtime-parts.ts';
import type { ContainerEntry__Output } from './shim/gen/berth/shim/ContainerEntry.ts';
import { unreachableShim } from './shim/shim-watch.ts';
import { findShimPid, mayLive } from './silent-shims.ts';
import { toExitInfo } from './shim/pod-directory.ts';

/** How long everybody waits for shims; one that answers later is adopted later. */
const patienceMs = 1_000;
const firstPauseMs = 50;
const longestPauseMs = 2_000;
/** For what a dead shim left to end when it is killed. */
const buryMs = 10_000;

const waiting = 'the shim of a pod does not answer; its pod waits for it, nobody else does';

/** Takes over the shims that an earlier berthd left running; ends what has no shim any more. */
export async function adopt(
  parts: RuntimeParts,
  ctx: Ctx,
  podIds: readonly string[],
  containers: readonly KnownContainer[],
): Promise<readonly AdoptedPod[]> {
  const byPod = Map.groupBy(containers, (container) => container.podId);
  const late = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => late.resolve('late'), patienceMs);
  try {
    return await Promise.all(
      podIds.map(async (podId): Promise<AdoptedPod> => {
        const known = byPod.get(podId) ?? [];
        const reach = { unreachable: false };
        const later = adoptOne(parts, ctx, podId, known, reach);
        const found = await Promise.race([later, late.promise]);
        if (found !== 'late') return found;
        const shimPid = await findShimPid(parts, ctx, podId);
        const { unreachable } = reach;
        ctx.log.error({ podId, shimPid }, unreachable ? unreachableShim(podId, shimPid) : waiting);
        return { podId, shim: 'silent', shimPid, unreachable, busy: await busyOf(parts, ctx, known), later };
      }),
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Asks until the shim answers or is proven dead. Never rejects; when berthd ends before that, it does not end. */
async function adoptOne(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  containers: readonly KnownContainer[],
  reach: { unreachable: boolean },
): Promise<AnsweredPod | LostPod> {
  for (let pause = firstPauseMs; ; pause = Math.min(2 * pause, longestPauseMs)) {
    try {
      return await greet(parts, podId, containers);
    } catch (error) {
      if (parts.closing.aborted) return await new Promise<never>(() => undefined);
      if (await isDead(parts, ctx, podId, error)) return await bury(parts, ctx, podId, containers, messageOf(error));
      // Its socket was there before it was, and nobody makes it again.
      reach.unreachable = isGone(errnoBehind(error));
      ctx.log.debug({ podId, err: error }, 'a shim does not answer');
      await sleep(pause, parts.closing).catch(() => undefined);
    }
  }
}

async function greet(parts: RuntimeParts, podId: string, containers: readonly KnownContainer[]): Promise<AnsweredPod> {
  const directory = parts.directories.open(podId);
  let shim;
  try {
    shim = connect(parts, podId, directory);
  } catch (error) {
    directory[Symbol.dispose]();
    throw error;
  }
  let entries: readonly ContainerEntry__Output[];
  try {
    for (const { id, cgroupPath } of containers) shim.cgroupPaths.set(id, cgroupPath);
    await shim.hello(parts.closing);
    entries = await shim.state(parts.closing);
  } catch (error) {
    shim[Symbol.dispose]();
    throw error;
  }
  parts.shims.set(podId, shim);
  const process = { pausePid: shim.pausePid, shimPid: shim.shimPid };
  return { podId, shim: 'answers', process, containers: entries.map(toAdopted) };
}

/**
 * Time proves nothing: a shim may be stopped, frozen, or wait for a processor. Its socket was listened on before there was a
 * shim, and only the shim has it: when nobody listens (ECONNREFUSED), or the socket is gone and no process in the shim's
 * group may be it, it is dead.
 */
async function isDead(parts: RuntimeParts, ctx: Ctx, podId: string, error: unknown): Promise<boolean> {
  const errno = errnoBehind(error);
  return errno === 'ECONNREFUSED' || (isGone(errno) && !(await mayLive(parts, ctx, podId)));
}

const errnoBehind = (error: unknown): string | undefined =>
  errnoOf(error instanceof Error && error.cause !== undefined ? error.cause : error);

const isGone = (errno: string | undefined): boolean => errno === 'ENOENT' || errno === 'ENOTDIR';

async function busyOf(
  parts: RuntimeParts,
  ctx: Ctx,
  containers: readonly KnownContainer[],
): Promise<ReadonlySet<string>> {
  const busy = new Set<string>();
  for (const { id, cgroupPath } of containers) {
    const pids = await parts.cgroups.processes(ctx, cgroupPath).catch(() => []);
    if (pids.length > 0) busy.add(id);
  }
  return busy;
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
    ...(entry.log_bytes_dropped === '0' ? {} : { logBytesDropped: Number(entry.log_bytes_dropped) }),
  };
}

/** The pod has no shim: kill what it left, keep what it wrote. */
async function bury(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  containers: readonly KnownContainer[],
  reason: string,
): Promise<LostPod> {
  const exits = await parts.directories.exits(ctx, podId);
  // What hangs in the kernel goes later or never; its pod's stop tries again, and says so.
  using deadline = new Deadline(buryMs, `ending what pod ${podId} left`, ctx.signal);
  const own = ctx.detach(deadline.signal);
  const kills = [
    killShimTree(parts, own, podId),
    ...containers.map((container) => parts.cgroups.kill(own, container.cgroupPath)),
  ];
  for (const result of await Promise.allSettled(kills)) {
    if (result.status === 'rejected')
      ctx.log.warn({ podId, err: result.reason as unknown }, 'could not end a lost pod');
  }
  return { podId, shim: 'dead', reason, exits };
}
