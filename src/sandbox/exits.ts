import { sleep } from '#base/deadline';
import { unattended } from '#base/unattended';
import { announce, background, type SandboxParts } from './parts.ts';
import type { Container, Pod } from './pod.ts';
import { exitOf, toExited, toNotReady, unseenExit, type Exit } from './states.ts';

const retryMs = 1_000;

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
      case 'oom':
        parts.log.info({ podId: event.podId, containerId: event.containerId }, 'out of memory: a process was killed');
    }
  });
}

/** Never rejects: a store that cannot write (a full disk) is tried until it can. */
export async function recordExit(parts: SandboxParts, container: Container, exit: Exit): Promise<void> {
  // A create or start under way is told first, so that nobody sees an end before its beginning.
  await container.busy?.catch(() => undefined);
  await persist(parts, container.id, async () => {
    using own = background(parts, `record the exit of container ${container.id}`, parts.timeouts.removeMs);
    const changed = await parts.pods
      .changeContainer(own.ctx, container, (status) => toExited(status, exit))
      .catch((error: unknown) => {
        container.unrecorded = error;
        throw error;
      });
    container.unrecorded = undefined;
    if (changed) announce(parts, 'stopped', container);
    await acknowledge(parts, container);
  });
}

/** The shim may forget. If this fails, the shim tells the same exit after the next start of berthd. */
export async function acknowledge(parts: SandboxParts, container: Container): Promise<void> {
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
  await persist(parts, pod.id, async () => {
    using own = background(parts, `record the loss of pod ${pod.id}`, parts.timeouts.removeMs);
    const { ctx } = own;
    const changed = await parts.pods.changePod(ctx, pod, (status) =>
      status.state === 'creating' ? undefined : toNotReady(status, 'ShimDied', message),
    );
    await Promise.all(
      pod.listed.map((container) =>
        recordExit(parts, container, unseenExit(137, parts.clock.nowNs(), 'ShimDied', message)),
      ),
    );
    if (changed) announce(parts, 'stopped', pod);
  });
}

async function persist(parts: SandboxParts, id: string, write: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await write();
      return;
    } catch (error) {
      if (parts.stopping.aborted) return;
      if (attempt === 1) parts.log.error({ id, err: error }, 'could not record an end; trying again');
      await sleep(retryMs, parts.stopping).catch(() => undefined);
    }
  }
}
