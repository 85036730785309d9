import { constants } from 'node:os';
import type { Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { claimContainer } from './claims.ts';
import { background, type SandboxParts, untilAnswered } from './parts.ts';
import type { Container, StopInFlight } from './pod.ts';

/**
 * Asks a container to end, kills it after `graceMs`, and waits until it has ended. Gone or exited: no error. A second
 * stop with a shorter grace wins; 0 kills at once.
 */
export async function stopContainer(parts: SandboxParts, ctx: Ctx, id: string, graceMs: number): Promise<void> {
  const container = parts.pods.findContainer(id);
  if (!container) return;
  claimContainer(parts, container);
  await stopContainerNow(parts, ctx.withFields({ containerId: container.id }), container, graceMs);
}

export async function stopContainerNow(
  parts: SandboxParts,
  ctx: Ctx,
  container: Container,
  graceMs: number,
): Promise<void> {
  await untilAnswered(ctx, parts.pods.pod(container.podId));
  if (container.status.state === 'exited') return;
  // The stop runs to its end, whether or not this caller waits for it.
  const stop = (container.stop ??= beginStop(parts, container, graceMs));
  stop.shorten(graceMs);
  ctx.stage('wait for exit');
  await raceSignal(stop.done, ctx.signal);
}

/** setTimeout takes no more; 24 days of patience are for ever. */
const maxTimer = 0x7fff_ffff;

function beginStop(parts: SandboxParts, container: Container, graceMs: number): StopInFlight {
  let killAt = Infinity;
  let timer: NodeJS.Timeout | undefined;
  const kill = Promise.withResolvers<void>();
  const shorten = (ms: number): void => {
    const at = performance.now() + Math.min(ms, maxTimer);
    if (at >= killAt) return;
    killAt = at;
    clearTimeout(timer);
    if (ms <= 0) kill.resolve();
    else timer = setTimeout(kill.resolve, Math.min(ms, maxTimer));
  };
  const done = run(parts, container, graceMs, kill.promise).finally(() => {
    clearTimeout(timer);
    container.stop = undefined;
  });
  // Every waiter may have gone before it fails.
  done.catch((error: unknown) => {
    parts.log.debug({ containerId: container.id, err: error }, 'a stop did not succeed');
  });
  return { done, shorten };
}

async function run(parts: SandboxParts, container: Container, graceMs: number, kill: Promise<void>): Promise<void> {
  // One that was never started has nobody to listen to the polite signal.
  if (graceMs > 0 && container.status.state === 'running') {
    await send(parts, container, container.made.stopSignal);
    await Promise.race([container.exited.promise, kill]);
  }
  if (container.status.state === 'exited') return;
  await send(parts, container, constants.signals.SIGKILL);
  using patience = new Deadline(
    parts.timeouts.killMs,
    `container ${container.id} was killed, but its processes are still there (in uninterruptible sleep?): it`,
  );
  await raceSignal(container.exited.promise, patience.signal);
}

async function send(parts: SandboxParts, container: Container, signal: number): Promise<void> {
  using own = background(parts, `signal container ${container.id}`, parts.timeouts.killMs);
  const all = signal === constants.signals.SIGKILL;
  await parts.runtime.signalContainer(own.ctx, container.podId, container.id, signal, all);
}
