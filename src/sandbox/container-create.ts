import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Ctx } from '#base/ctx';
import { BerthError, messageOf, toBerthError } from '#base/errors';
import { makeDirectories } from '#base/make-directories';
import { Rollback } from '#base/rollback';
import type { Image, RootfsLayers } from '#images/image-store';
import { claimPod, createContainerKey } from './claims.ts';
import { removeContainerNow, removeLayers } from './container-remove.ts';
import { planContainer, type ContainerPlan } from './container-plan.ts';
import { containerDocument } from './documents.ts';
import { containerName, type ContainerIdentity } from './identity.ts';
import { type SandboxParts, untilAnswered } from './parts.ts';
import { Container, type Pod } from './pod.ts';
import { checkRuntimeHandler } from './pod-checks.ts';
import type { SpecRecord } from './records.ts';
import { checkContainerLimits } from './request-limits.ts';
import { type OciSpec, toSpecRecord } from './specs.ts';
import { createFailed, newContainer, toCreated, toExited, unseenExit } from './states.ts';
import { together } from './together.ts';

/** Makes a container, or joins whoever makes it, or gives the one that was made. @returns its id */
export async function createContainer(parts: SandboxParts, ctx: Ctx, asked: ContainerIdentity): Promise<string> {
  checkContainerLimits(asked.config);
  const pod = parts.pods.getPod(asked.podId);
  claimPod(parts, pod);
  const identity = { ...asked, podId: pod.id };
  return parts.operations.join(ctx, {
    key: createContainerKey(pod.id, identity),
    verb: 'create container',
    config: identity,
    deadlineMs: parts.timeouts.createContainerMs,
    run: async (own) => {
      await untilAnswered(own, pod);
      return (await finished(parts, own, pod, identity)) ?? make(parts, own, pod, identity);
    },
    undo: async (own, id) => {
      const container = parts.pods.container(id);
      if (container) await removeContainerNow(parts, own, container);
    },
  });
}

/** The container that an earlier, equal request made. */
async function finished(
  parts: SandboxParts,
  ctx: Ctx,
  pod: Pod,
  identity: ContainerIdentity,
): Promise<string | undefined> {
  const name = containerName(identity.config);
  const container = parts.pods.containerNamed(pod.id, name);
  if (!container) return undefined;
  if (container.status.reason === createFailed || container.status.state === 'creating') {
    // What could not be undone then may be undone now; the name is never in the way.
    await removeContainerNow(parts, ctx, container);
    return undefined;
  }
  const { id, status } = container;
  if (!isDeepStrictEqual(container.identity, identity)) {
    throw new BerthError(
      'ALREADY_EXISTS',
      `name ${name} is reserved for container ${id}, which exists with a different config: remove it first`,
    );
  }
  if (status.state === 'created') return id;
  throw new BerthError(
    'ALREADY_EXISTS',
    `name ${name} is reserved for container ${id}, which exists and is ${status.state}: remove it first`,
  );
}

async function make(parts: SandboxParts, ctx: Ctx, pod: Pod, identity: ContainerIdentity): Promise<string> {
  checkReady(pod);
  const image = imageOf(parts, identity);
  const id = parts.ids.next();
  const own = ctx.withFields({ podId: pod.id, containerId: id });
  own.stage('plan');
  const plan = await planContainer(parts, own, pod, id, identity, image);
  const encoded = parts.codec.encodeContainer(identity).toString('base64');
  const container = new Container(id, identity, encoded, plan.made, newContainer(parts.clock.nowNs()));
  const making = makeContainer(parts, own, pod, container, plan, image);
  // A stop of the pod waits for us; an exit of the waiting process is told after the container is known.
  container.busy = making;
  pod.creates.add(making);
  try {
    await making;
  } finally {
    container.busy = undefined;
    pod.creates.delete(making);
  }
  return id;
}

function checkReady(pod: Pod): void {
  if (pod.status.state === 'ready' && !pod.stopping) return;
  throw new BerthError('FAILED_PRECONDITION', `pod ${pod.id} is not ready: no container can be made in it`);
}

function imageOf(parts: SandboxParts, { config }: ContainerIdentity): Image {
  const reference = config.image?.image ?? '';
  if (reference === '') throw new BerthError('INVALID_ARGUMENT', 'the container config names no image');
  checkRuntimeHandler(config.image?.runtime_handler ?? '', parts.runtimeHandlers);
  const image = parts.images.find(reference);
  if (!image) throw new BerthError('NOT_FOUND', `image ${reference} not found on this node: pull or load it first`);
  return image;
}

async function makeContainer(
  parts: SandboxParts,
  ctx: Ctx,
  pod: Pod,
  container: Container,
  plan: ContainerPlan,
  image: Image,
): Promise<void> {
  const rollback = new Rollback();
  try {
    ctx.stage('prepare');
    const layers = await container.timeline.measure('prepare', () => prepare(parts, ctx, container, image, rollback));
    const { id, podId, made } = container;
    const toSpec = (spec: OciSpec): SpecRecord => toSpecRecord(id, spec, plan.input.seccomp.type === 'runtimeDefault');
    rollback.push(`process of container ${id}`, (own) =>
      parts.runtime.removeContainer(own, podId, id, made.cgroupPath),
    );
    const created = await container.timeline.measure('runtime', () =>
      parts.runtime.createContainer(ctx, {
        ...withLayers(plan.input, layers),
        document: (spec) => containerDocument(parts.bootId, container, layers.lowers, toSpec(spec)),
      }),
    );
    const warnings = [...plan.warnings, ...created.warnings];
    ctx.stage('record');
    checkReady(pod);
    await container.timeline.measure('record', () =>
      parts.pods.changeContainer(ctx, container, (status) => toCreated(status, { pid: created.pid, warnings }), {
        spec: toSpec(created.spec),
        kind: 'intent',
      }),
    );
    rollback.commit();
    for (const warning of warnings) ctx.log.warn({ warning }, 'container created with a restriction');
  } catch (error) {
    await undo(parts, ctx, container, rollback, error);
    throw error;
  }
}

function withLayers(input: ContainerPlan['input'], layers: RootfsLayers): ContainerPlan['input'] {
  const { directory: layersDirectory, lowers } = layers;
  return { ...input, rootfs: { ...input.rootfs, layersDirectory, lowers } };
}

/** The record, the image's layers, the writable layer, the log's directory: none needs another. */
async function prepare(
  parts: SandboxParts,
  ctx: Ctx,
  container: Container,
  image: Image,
  rollback: Rollback,
): Promise<RootfsLayers> {
  const { id } = container;
  rollback.push(`layers of container ${id}`, () => removeLayers(parts, id));
  rollback.push(`image lease of container ${id}`, (own) => parts.images.release(own, id));
  const [layers] = await together([
    parts.images.lease(ctx, image.id, id),
    parts.pods.addContainer(ctx, container),
    makeLayerAndLogs(parts, id, container.made.logPath),
  ]);
  return layers;
}

/** The writable layer, and the log's directory. */
async function makeLayerAndLogs(parts: SandboxParts, id: string, logPath: string): Promise<void> {
  const directory = path.join(parts.containersDirectory, id);
  const logs = path.dirname(logPath);
  const results = await parts.files.run(
    [
      { op: 'mkdir', path: directory, mode: 0o700 },
      // Before anything is in it, so that all is counted. Most file systems have no such books.
      { op: 'project', path: directory, optional: true },
      { op: 'mkdir', path: path.join(directory, 'upper'), mode: 0o755 },
      { op: 'mkdir', path: path.join(directory, 'work'), mode: 0o700 },
      ...(logPath === '' ? [] : [{ op: 'mkdir', path: logs, mode: 0o755, optional: true } as const]),
    ],
    `make the writable layer ${directory}`,
  );
  const log = results[4];
  if (log === undefined || log.error === undefined || log.error === 'EEXIST') return;
  try {
    await makeDirectories(logs, 0o755);
  } catch (error) {
    throw toBerthError(error, `make the log directory ${logs}`);
  }
}

/** Undoes every step. What cannot be undone stays recorded as exited, so that a remove or the recovery ends it. */
async function undo(
  parts: SandboxParts,
  ctx: Ctx,
  container: Container,
  rollback: Rollback,
  cause: unknown,
): Promise<void> {
  const left = await rollback.rollBack(ctx);
  try {
    if (left.length === 0) {
      await parts.pods.forgetContainer(ctx, container);
      return;
    }
    const exit = unseenExit(137, parts.clock.nowNs(), createFailed, messageOf(cause));
    await parts.pods.changeContainer(ctx, container, (status) => toExited(status, exit));
  } catch (error) {
    ctx.log.warn({ err: error }, 'could not write that the container was not made; recovery will undo it');
  }
}
