import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { type SandboxParts, untilAnswered } from './parts.ts';

/** Opens the log file anew after the kubelet renamed it. */
export async function reopenContainerLog(parts: SandboxParts, ctx: Ctx, id: string): Promise<void> {
  const container = parts.pods.getContainer(id);
  await untilAnswered(ctx, parts.pods.pod(container.podId));
  if (container.status.state !== 'running') {
    const { state } = container.status;
    throw new BerthError(
      'FAILED_PRECONDITION',
      `container ${container.id} is ${state}: only a running one has an open log`,
    );
  }
  if (container.made.logPath === '') return;
  await parts.runtime.reopenLog(ctx, container.podId, container.id);
}
