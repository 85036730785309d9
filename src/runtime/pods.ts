import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { BerthError, errnoOf, isBerthError } from '#base/errors';
import { Rollback } from '#base/rollback';
import { Fd } from '#linux/fd';
import type { IdRange, PodInput } from './container-input.ts';
import { onShimEvent, onShimGone } from './pod-events.ts';
import type { PodProcess } from './runtime.ts';
import { type RuntimeParts, shimCgroup } from './runtime-parts.ts';
import type { IdMap } from './shim/gen/berth/shim/IdMap.ts';
import type { NsMode } from './shim/gen/berth/shim/NsMode.ts';
import type { StartPod } from './shim/gen/berth/shim/StartPod.ts';
import { PodShim } from './shim/pod-shim.ts';

/** Starts a pod: its directory, its shim, pause in the pod's namespaces. */
export async function runPod(parts: RuntimeParts, ctx: Ctx, pod: PodInput): Promise<PodProcess> {
  const { podId } = pod;
  const rollback = new Rollback();
  try {
    ctx.stage('shim');
    const directory = await parts.directories.create(podId, pod.document);
    rollback.push(`pod directory ${podId}`, () => parts.directories.remove(podId));
    rollback.push(`shim of pod ${podId}`, (cleanup) => killShimTree(parts, cleanup, podId));
    let shim: PodShim;
    try {
      parts.launcher.start(podId, directory, pod.network === 'pod' ? pod.netns : undefined);
      shim = connect(parts, podId, directory);
    } catch (error) {
      directory[Symbol.dispose]();
      throw error;
    }
    parts.shims.set(podId, shim);
    rollback.push(`connection to the shim of pod ${podId}`, () => drop(parts, shim));
    const started = await startPause(parts, ctx, shim, pod);
    rollback.commit();
    return started;
  } catch (error) {
    const told = await withLastWords(parts, podId, error);
    await rollback.rollBack(ctx);
    throw told;
  }
}

/** The log of a shim that has gone goes with its directory. */
async function withLastWords(parts: RuntimeParts, podId: string, error: unknown): Promise<unknown> {
  if (!isBerthError(error, 'SHIM_DIED')) return error;
  const words = await parts.directories.lastWords(podId).catch(() => '');
  const { code, message, details } = error;
  return words === '' ? error : new BerthError(code, `${message}; its last words: ${words}`, { cause: error, details });
}

async function startPause(parts: RuntimeParts, ctx: Ctx, shim: PodShim, pod: PodInput): Promise<PodProcess> {
  // Both are sent at once: the shim answers in order.
  const hello = shim.hello(ctx.signal);
  const started = shim.call({ start_pod: startPodMessage(parts, pod) }, `start pod ${pod.podId}`, ctx.signal);
  const [, response] = await Promise.all([hello, started]);
  if (!response.pod_started) throw new BerthError('INTERNAL', `shim of pod ${pod.podId} did not say that it started`);
  shim.pausePid = response.pod_started.pause_pid;
  return { pausePid: shim.pausePid, shimPid: shim.shimPid };
}

function startPodMessage(parts: RuntimeParts, pod: PodInput): StartPod {
  const shared = (place: 'pod' | 'node'): NsMode => (place === 'pod' ? 'NS_POD' : 'NS_HOST');
  const pid: NsMode = pod.pid === 'pod' ? 'NS_POD' : pod.pid === 'node' ? 'NS_HOST' : 'NS_NEW';
  return {
    // What a shim must understand to run this pod; it refuses what it does not know.
    requires: pod.users ? ['user-namespaces'] : [],
    pod_id: pod.podId,
    shim_cgroup_dirs: [parts.cgroups.handle(shimCgroup(parts, pod.podId)).killDir],
    net: pod.network === 'pod' && pod.netns === undefined ? 'NS_NEW' : shared(pod.network),
    ipc: shared(pod.ipc),
    uts: shared(pod.uts),
    pid,
    user: pod.users ? 'NS_POD' : 'NS_HOST',
    uid_maps: pod.users ? [idMap(pod.users.uids)] : [],
    gid_maps: pod.users ? [idMap(pod.users.gids)] : [],
    hostname: pod.hostname,
    sysctls: Object.entries(pod.sysctls).map(([name, value]) => ({ name, value })),
    shm_bytes: pod.ipc === 'pod' ? pod.shmBytes.toString() : '0',
    shim_oom_score_adj: -999,
  };
}

const idMap = ({ hostId, length }: IdRange): IdMap => ({ container_id: 0, host_id: hostId, length });

/** Makes the object for a shim that listens in `directory`, which it then owns. */
export function connect(parts: RuntimeParts, podId: string, directory: PodShim['directory']): PodShim {
  return new PodShim({
    podId,
    directory,
    socket: parts.launcher.connect(podId, directory),
    buildId: parts.buildId,
    log: parts.log,
    onEvent: (event) => onShimEvent(parts, podId, event),
    onGone: (shim) => onShimGone(parts, shim),
    openPause: (pid) => openProcess(parts, pid),
    onPauseEnded: () => parts.events.emit({ type: 'pauseEnded', podId }),
  });
}

function openProcess({ addon }: RuntimeParts, pid: number): Fd | undefined {
  try {
    return new Fd(addon.openDirectory(`/proc/${pid}`), (fd) => addon.close(fd));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function drop(parts: RuntimeParts, shim: PodShim): void {
  if (parts.shims.get(shim.podId) === shim) parts.shims.delete(shim.podId);
  shim[Symbol.dispose]();
}

/** Ends a pod: asks the shim to go, and kills by cgroup what does not. */
export async function endPod(parts: RuntimeParts, ctx: Ctx, podId: string): Promise<void> {
  const shim = parts.shims.get(podId);
  if (shim?.connected) {
    ctx.stage('shim shutdown');
    shim.ending = true;
    await shutDown(ctx, shim);
  }
  if (shim) drop(parts, shim);
  await killShimTree(parts, ctx, podId);
  await parts.directories.remove(podId);
}

async function shutDown(ctx: Ctx, shim: PodShim): Promise<void> {
  try {
    await raceSignal(shim.call({ shutdown: {} }, `end pod ${shim.podId}`, ctx.signal), ctx.signal);
  } catch (error) {
    // Whatever the shim did not do, killing its cgroup does.
    if (!isBerthError(error)) throw error;
    ctx.log.debug({ podId: shim.podId, err: error }, 'shim did not confirm its shutdown');
  }
}

/** Shim, pause and log pump share a leaf cgroup: killed and removed as one, never by pid. */
export async function killShimTree(parts: RuntimeParts, ctx: Ctx, podId: string): Promise<void> {
  const leaf = shimCgroup(parts, podId);
  await parts.cgroups.kill(ctx, leaf);
  await parts.cgroups.remove(ctx, leaf);
}
