import { createCtx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { messageOf } from '#base/errors';
import { unattended } from '#base/unattended';
import type { ExitInfo } from './runtime.ts';
import { type RuntimeParts, shimCgroup } from './runtime-parts.ts';
import type { Event__Output } from './shim/gen/berth/shim/Event.ts';
import { toExitInfo } from './shim/pod-directory.ts';
import type { PodShim } from './shim/pod-shim.ts';

/** How long the processes of a pod without a shim may take to die. */
const killMs = 60_000;

/** Something happened in a pod: tell whoever listens. */
export function onShimEvent(parts: RuntimeParts, podId: string, event: Event__Output): void {
  if (event.container_exited) {
    const { container_id: containerId } = event.container_exited;
    parts.events.emit({ type: 'exit', podId, containerId, exit: toExitInfo(event.container_exited) });
  }
  if (event.log_dropped) {
    const { container_id: containerId, bytes } = event.log_dropped;
    parts.events.emit({ type: 'logDropped', podId, containerId, bytes: Number(bytes) });
  }
  if (event.pause_ended) parts.shims.get(podId)?.pauseEnded();
}

/**
 * A shim's socket ended. When we did not end it, the pod is lost: its processes have nobody to reap or log them, so they
 * are killed by cgroup (never by pid, which may be somebody else's by now), and its containers are reported as ended.
 */
export function onShimGone(parts: RuntimeParts, shim: PodShim): void {
  if (shim.ending || parts.shims.get(shim.podId) !== shim) return;
  parts.shims.delete(shim.podId);
  unattended(parts.log, `ending what is left of pod ${shim.podId}`, losePod(parts, shim));
}

async function losePod(parts: RuntimeParts, shim: PodShim): Promise<void> {
  const { podId } = shim;
  using deadline = new Deadline(killMs, `kill what is left of pod ${podId}`);
  const ctx = createCtx({ signal: deadline.signal, log: parts.log, requestId: `lost-${podId.slice(0, 13)}` });
  parts.log.error({ podId }, 'the shim of a running pod died; its containers are killed');
  const groups = [shimCgroup(parts, podId), ...shim.cgroupPaths.values()];
  const killed = await Promise.allSettled(groups.map((group) => parts.cgroups.kill(ctx, group)));
  for (const result of killed) {
    if (result.status === 'rejected')
      parts.log.warn({ podId, err: messageOf(result.reason) }, 'could not kill a group');
  }
  const recorded = await parts.directories.exits(ctx, podId);
  for (const containerId of shim.pids.keys()) emitExit(parts, podId, containerId, recorded.get(containerId));
  parts.events.emit({ type: 'podLost', podId, reason: 'the shim died' });
  shim[Symbol.dispose]();
}

function emitExit(parts: RuntimeParts, podId: string, containerId: string, exit: ExitInfo | undefined): void {
  if (exit) parts.events.emit({ type: 'exit', podId, containerId, exit });
}
