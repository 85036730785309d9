import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { toBerthError } from '#base/errors';
import { claimContainer } from './claims.ts';
import { stopContainerNow } from './container-stop.ts';
import { type SandboxParts, untilAnswered } from './parts.ts';
import type { Container } from './pod.ts';
import { together } from './together.ts';

/** Removes a container, by force when it runs. One that is gone: no error. */
export async function removeContainer(parts: SandboxParts, ctx: Ctx, id: string): Promise<void> {
  const container = parts.pods.findContainer(id);
  if (!container) return;
  claimContainer(parts, container);
  await removeContainerNow(parts, ctx, container);
}

/** Joins a removal under way. */
export async function removeContainerNow(parts: SandboxParts, ctx: Ctx, container: Container): Promise<void> {
  const fields = { podId: container.podId, containerId: container.id };
  await parts.operations.join(ctx, {
    key: `remove container ${container.id}`,
    verb: 'remove container',
    deadlineMs: parts.timeouts.removeMs,
    run: (own) => remove(parts, own.withFields(fields), container),
  });
}

async function remove(parts: SandboxParts, ctx: Ctx, container: Container): Promise<void> {
  await untilAnswered(ctx, parts.pods.pod(container.podId));
  // Waits for a start under way: what it starts is then killed.
  using _held = await parts.locks.acquire(container.id, ctx.signal);
  if (container.visible) await stopContainerNow(parts, ctx, container, 0);
  ctx.stage('remove');
  await parts.runtime.removeContainer(ctx, container.podId, container.id, container.made.cgroupPath);
  await together([parts.images.release(ctx, container.id), removeLayers(parts, container.id)]);
  // Last: as long as there is a record, a retry finishes what failed.
  await parts.pods.forgetContainer(ctx, container);
}

/** Removes the writable layer. Idempotent. */
export async function removeLayers(
  parts: Pick<SandboxParts, 'containersDirectory' | 'files'>,
  id: string,
): Promise<void> {
  const directory = path.join(parts.containersDirectory, id);
  try {
    await parts.files.removeTree(directory);
  } catch (error) {
    throw toBerthError(error, `remove the writable layer ${directory}`);
  }
}
