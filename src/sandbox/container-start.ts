import type { Ctx } from '#base/ctx';
import { BerthError, isBerthError } from '#base/errors';
import { claimContainer } from './claims.ts';
import { type SandboxParts, untilAnswered } from './parts.ts';
import type { Container } from './pod.ts';
import { toRunning, toStartFailed, unseenExit } from './states.ts';

/** The exit code of a container whose command could not be executed, when the kernel's reason names no other. */
const startErrorCode = 128;

/** Lets a created container run. A retry of a start that happened: no error, also when nobody was told of it then. */
export async function startContainer(parts: SandboxParts, ctx: Ctx, id: string): Promise<void> {
  const container = parts.pods.getContainer(id);
  claimContainer(parts, container);
  await parts.operations.join(ctx, {
    key: `start container ${container.id}`,
    verb: 'start container',
    deadlineMs: parts.timeouts.startContainerMs,
    run: (own) => startNow(parts, own.withFields({ podId: container.podId, containerId: container.id }), container),
  });
}

async function startNow(parts: SandboxParts, ctx: Ctx, container: Container): Promise<void> {
  await untilAnswered(ctx, parts.pods.pod(container.podId));
  using _held = await parts.locks.acquire(container.id, ctx.signal);
  if (hasStarted(container)) return;
  checkStartable(parts, container);
  ctx.stage('start');
  const starting = container.timeline.measure('start', () => start(parts, ctx, container));
  // A command may end before we have heard that it began: its exit is told after its start.
  container.busy = starting;
  try {
    await starting;
  } finally {
    container.busy = undefined;
  }
}

/** Also one that has ended since, if whoever had it started never got the answer. */
function hasStarted(container: Container): boolean {
  const { state, startedAtNs } = container.status;
  const untold = container.startUntold && state === 'exited' && startedAtNs !== 0n;
  if (untold) container.startUntold = false;
  return untold || state === 'running';
}

function checkStartable(parts: SandboxParts, container: Container): void {
  if (container.status.state !== 'created') {
    const { state } = container.status;
    throw new BerthError('FAILED_PRECONDITION', `container ${container.id} is ${state}; only a created one can start`);
  }
  const pod = parts.pods.pod(container.podId);
  if (!pod || pod.status.state !== 'ready' || pod.stopping) {
    throw new BerthError(
      'FAILED_PRECONDITION',
      `pod ${container.podId} is not ready: container ${container.id} cannot start`,
    );
  }
}

async function start(parts: SandboxParts, ctx: Ctx, container: Container): Promise<void> {
  let startedAtNs: bigint;
  try {
    startedAtNs = await letGo(parts, ctx, container);
  } catch (error) {
    if (isBerthError(error, 'START_ERROR')) await recordStartError(parts, ctx, container, error);
    // Without an answer it may be running all the same.
    else container.startUntold = true;
    throw error;
  }
  // It runs, whatever the store can do.
  container.startUntold = false;
  await parts.pods.changeContainer(ctx, container, (status) => toRunning(status, startedAtNs));
}

/** Has the shim start it, or learns that it has: an earlier call of ours whose answer did not come. @returns when */
async function letGo(parts: SandboxParts, ctx: Ctx, { podId, id }: Container): Promise<bigint> {
  try {
    const { startedAtNs } = await parts.runtime.startContainer(ctx, podId, id);
    return startedAtNs;
  } catch (error) {
    if (!isBerthError(error, 'FAILED_PRECONDITION')) throw error;
    const seen = await parts.runtime.containerState(ctx, podId, id);
    if (!seen || seen.startedAtNs === 0n) throw error;
    return seen.startedAtNs;
  }
}

async function recordStartError(parts: SandboxParts, ctx: Ctx, container: Container, error: BerthError): Promise<void> {
  const now = parts.clock.nowNs();
  const code = error.details['exitCode'];
  const exit = {
    ...unseenExit(137, now, 'StartError', error.message),
    exitCode: typeof code === 'number' ? code : startErrorCode,
    startedAtNs: now,
  };
  await parts.pods.changeContainer(ctx, container, (status) => toStartFailed(status, exit));
}
