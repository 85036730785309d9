import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { unattended } from '#base/unattended';
import { background, type SandboxParts } from './parts.ts';
import type { Container, Pod } from './pod.ts';
import { exitOf, pauseDied, toExited, toNotReady, unseenExit, type Exit } from './states.ts';

/**
 * Follows what the runtime tells: a container ended, a pod lost its shim. Each goes to the store first, is then
 * acknowledged to the shim (which keeps its own record until then), and told to listeners last.
 */
export function followRuntime(parts: SandboxParts): Disposable {
  return parts.runtime.onEvent((event) => {
    switch (event.type) {
      case 'exit': {
        const container = parts.pods.container(event.containerId);
        if (container) unattended(parts.log, 'recording an exit', recordExit(parts, container, exitOf(event.exit)));
        return;
      }
      case 'podLost': {
        const pod = parts.pods.pod(event.podId);
        if (pod) unattended(parts.log, 'recording the loss of a pod', losePod(parts, pod, event.reason));
        return;
      }
      case 'logDropped': {
        const container = parts.pods.container(event.containerId);
        if (container) parts.lostOutput.told(container, event.bytes);
        return;
      }
      case 'pauseEnded': {
        const pod = parts.pods.pod(event.podId);
        if (pod) unattended(parts.log, 'recording the end of a pause', losePause(parts, pod));
        return;
      }
    }
  });
}

/** Never rejects. A store that cannot write it now keeps it, and writes it when it can. */
export async function recordExit(parts: SandboxParts, container: Container, exit: Exit): Promise<void> {
  // A create or start under way is told first, so that nobody sees an end before its beginning.
  await container.busy?.catch(() => undefined);
  await persist(parts, container.id, async (ctx) => {
    await parts.pods.changeContainer(ctx, container, (status) => toExited(status, exit));
    await acknowledge(parts, container);
  });
}

/** Lets the shim forget the exit, once the store has it for good; nobody waits for that on a full disk. */
export async function acknowledge(parts: SandboxParts, container: Container): Promise<void> {
  const inMemoryOnly = parts.store.behind?.inMemoryOnly ?? 0;
  if (inMemoryOnly === 0) await tellShim(parts, container);
  else void raceSignal(parts.store.whenKept(), parts.stopping).then(() => tellShim(parts, container), ignore);
}

/** If this fails, the shim tells the same exit after the next start of berthd. */
async function tellShim(parts: SandboxParts, container: Container): Promise<void> {
  using own = background(parts, `acknowledge the exit of container ${container.id}`, parts.timeouts.killMs);
  try {
    await parts.runtime.acknowledgeExit(own.ctx, container.podId, container.id);
  } catch (error) {
    parts.log.debug({ containerId: container.id, err: error }, 'could not acknowledge an exit');
  }
}

/** The pod's shim is gone, and its processes with it. */
export async function losePod(parts: SandboxParts, pod: Pod, why: string): Promise<void> {
  // One that is being made is undone by its maker: at once if it waits for the shim, else before the pod is ready.
  pod.lost = true;
  await Promise.allSettled(pod.creates);
  const message = `the pod lost its shim: ${why}`;
  await persist(parts, pod.id, async (ctx) => {
    await parts.pods.changePod(ctx, pod, (status) =>
      status.state === 'creating' ? undefined : toNotReady(status, 'ShimDied', message),
    );
    await Promise.all(
      pod.listed.map((container) =>
        recordExit(parts, container, unseenExit(137, parts.clock.nowNs(), 'ShimDied', message)),
      ),
    );
  });
}

/**
 * What held the pod's namespaces is gone: no container can be made in it any more. Its containers go on, unless pause was
 * pid 1 to them; the kubelet, told by the pod's state, ends them and makes the pod anew.
 */
export async function losePause(parts: SandboxParts, pod: Pod): Promise<void> {
  // One that is being made is undone by its maker.
  pod.lost = true;
  const message = 'the process that holds the pod’s namespaces was killed: the pod has to be made anew';
  await persist(parts, pod.id, async (ctx) => {
    await parts.pods.changePod(ctx, pod, (status) =>
      status.state === 'ready' && !pod.stopping ? toNotReady(status, pauseDied, message) : undefined,
    );
  });
}

async function persist(parts: SandboxParts, id: string, write: (ctx: Ctx) => Promise<void>): Promise<void> {
  using own = background(parts, `record the end of ${id}`, parts.timeouts.removeMs);
  try {
    await write(own.ctx);
  } catch (error) {
    // berthd is ending: the next one is told by the shim.
    if (!parts.stopping.aborted) parts.log.error({ id, err: error }, 'could not record an end');
  }
}

const ignore = (): undefined => undefined;
