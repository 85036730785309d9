import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { LinuxContainerResources__Output } from '#cri-api/gen/runtime/v1/LinuxContainerResources';
import type { WriteKind } from '#store/collection';
import { claimContainer } from './claims.ts';
import { containerResources } from './container-resources.ts';
import { changedResources, mergeResources } from './merge-resources.ts';
import type { SandboxParts } from './parts.ts';
import type { Container } from './pod.ts';
import type { SpecRecord } from './records.ts';
import { checkResourceLimits } from './request-limits.ts';
import { withResources } from './states.ts';

/** Changes the limits of a created or running container, all that are asked for or none. */
export async function updateContainer(
  parts: SandboxParts,
  ctx: Ctx,
  id: string,
  asked: LinuxContainerResources__Output | null,
): Promise<void> {
  const container = parts.pods.getContainer(id);
  claimContainer(parts, container);
  if (!asked) return;
  checkResourceLimits(asked);
  using _held = await parts.locks.acquire(container.id, ctx.signal);
  checkChangeable(container);
  const present = container.status.resources ?? container.identity.config.linux?.resources;
  const merged = mergeResources(present, asked);
  const change = changedResources(merged, asked);
  const takeBack = await parts.runtime.updateContainer(ctx, container.made.cgroupPath, change);
  const record = (kind: WriteKind): Promise<unknown> => {
    const spec = specWith(parts, container, merged);
    return parts.pods.changeContainer(ctx, container, (status) => withResources(status, merged), { spec, kind });
  };
  try {
    await record('change');
  } catch (error) {
    // What cannot be recorded does not hold either, because no shim could tell it after a crash.
    if (await takenBack(ctx, takeBack)) throw error;
    await record('fact');
  }
}

async function takenBack(ctx: Ctx, takeBack: () => Promise<void>): Promise<boolean> {
  try {
    await takeBack();
    return true;
  } catch (error) {
    ctx.log.warn({ err: error }, 'limits that could not be recorded could not be taken back either: they hold');
    return false;
  }
}

function checkChangeable({ id, status }: Container): void {
  if (status.state === 'created' || status.state === 'running') return;
  throw new BerthError('FAILED_PRECONDITION', `container ${id} is ${status.state}: its limits cannot be changed`);
}

/** The spec, as `inspect` shows it, with the new limits; device rules are none of the CRI's. */
function specWith(
  parts: SandboxParts,
  container: Container,
  merged: LinuxContainerResources__Output,
): SpecRecord | undefined {
  const record = parts.pods.collections.specs.get(container.id);
  if (!record) return undefined;
  const { linux } = record.spec;
  const resources = { ...linux.resources, ...containerResources(merged) };
  return { ...record, spec: { ...record.spec, linux: { ...linux, resources } } };
}
