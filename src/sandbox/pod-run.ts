import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Ctx } from '#base/ctx';
import { BerthError, messageOf } from '#base/errors';
import { Rollback } from '#base/rollback';
import type { Fd } from '#linux/fd';
import type { PodNetworkRecord } from '#network/pod-network';
import type { PodInput } from '#runtime/container-input';
import { runPodKey } from './claims.ts';
import { podDocument, readyDocument } from './documents.ts';
import { podName, type PodIdentity } from './identity.ts';
import type { SandboxParts } from './parts.ts';
import { Pod } from './pod.ts';
import { checkCgroupParent, checkLogDirectory, checkPodLabels, checkRuntimeHandler, checkUsers } from './pod-checks.ts';
import { writePodFiles } from './pod-files.ts';
import { removePodNow } from './pod-remove.ts';
import { networkRequest, portMappings } from './pod-network-request.ts';
import { interfaceSysctls, podInput } from './pod-spec.ts';
import { checkPodLimits } from './request-limits.ts';
import { createFailed, newPod, toFailed, toReady } from './states.ts';
import { together } from './together.ts';

/** Makes a pod, or joins whoever makes it, or gives the one that was made. @returns its id */
export async function runPod(parts: SandboxParts, ctx: Ctx, identity: PodIdentity): Promise<string> {
  checkPodLimits(identity.config);
  checkRuntimeHandler(identity.runtimeHandler, parts.runtimeHandlers);
  checkCgroupParent(identity.config, parts.runtime.features.cgroupDriver);
  checkLogDirectory(identity.config);
  const name = podName(identity.config);
  // What Berth cannot do is said before anything is made.
  checkUsers(podInput('', identity.config, parts.hostname), parts.runtime.features.userNamespaces);
  checkPodLabels(identity.config, parts.runtime.features);
  portMappings(identity.config);
  return parts.operations.join(ctx, {
    key: runPodKey(identity),
    verb: 'run pod',
    config: identity,
    deadlineMs: parts.timeouts.runPodMs,
    run: async (own) => (await finished(parts, own, name, identity)) ?? makePod(parts, own, identity),
    undo: async (own, id) => {
      const pod = parts.pods.pod(id);
      if (pod) await removePodNow(parts, own, pod);
    },
  });
}

/** The pod that an earlier, equal request made. */
async function finished(
  parts: SandboxParts,
  ctx: Ctx,
  name: string,
  identity: PodIdentity,
): Promise<string | undefined> {
  const pod = parts.pods.podNamed(name);
  if (!pod) return undefined;
  if (pod.status.reason === createFailed || pod.status.state === 'creating') {
    // What could not be undone then may be undone now; the name is never in the way.
    await removePodNow(parts, ctx, pod);
    return undefined;
  }
  if (!isDeepStrictEqual(pod.identity, identity)) {
    throw new BerthError(
      'ALREADY_EXISTS',
      `name ${name} is reserved for pod ${pod.id}, which exists with a different config: remove it first`,
    );
  }
  if (pod.status.state === 'ready' && !pod.stopping) return pod.id;
  throw new BerthError(
    'ALREADY_EXISTS',
    `name ${name} is reserved for pod ${pod.id}, which exists and is stopped: remove it first`,
  );
}

/** What there is to undo, should a later step fail. */
interface Making {
  readonly pod: Pod;
  readonly input: Omit<PodInput, 'document'>;
  readonly rollback: Rollback;
  network?: PodNetworkRecord;
}

async function makePod(parts: SandboxParts, ctx: Ctx, identity: PodIdentity): Promise<string> {
  const encoded = parts.codec.encodePod(identity).toString('base64');
  const pod = new Pod(parts.ids.next(), identity, encoded, newPod(parts.clock.nowNs()));
  const input = podInput(pod.id, identity.config, parts.hostname);
  const making: Making = { pod, input, rollback: new Rollback() };
  const own = ctx.withFields({ podId: pod.id });
  try {
    const netns = await prepare(parts, own, making);
    using _netns = netns ?? nothing;
    await start(parts, own, making, netns);
  } catch (error) {
    await undo(parts, own, making, error);
    throw error;
  }
  return pod.id;
}

/** The record and a network namespace: neither needs the other. */
async function prepare(parts: SandboxParts, ctx: Ctx, { pod, input }: Making): Promise<Fd | undefined> {
  ctx.stage('prepare');
  return pod.timeline.measure('prepare', async () => {
    // A pod with users of its own makes the namespace itself, so that it belongs to them.
    const taking =
      input.network === 'pod' && !input.users ? parts.network.takeNamespace(ctx) : Promise.resolve(undefined);
    const [added, taken] = await Promise.allSettled([parts.pods.addPod(ctx, pod), taking]);
    if (taken.status === 'rejected') throw taken.reason as Error;
    if (added.status === 'fulfilled') return taken.value;
    taken.value?.[Symbol.dispose]();
    throw added.reason as Error;
  });
}

/** Processes and network come up side by side; then the pod is ready. */
async function start(parts: SandboxParts, ctx: Ctx, making: Making, netns: Fd | undefined): Promise<void> {
  const { pod, input, rollback } = making;
  ctx.stage('start');
  rollback.push(`processes of pod ${pod.id}`, (cleanup) => parts.runtime.endPod(cleanup, pod.id));
  const full: PodInput = { ...input, document: podDocument(parts.bootId, pod), ...(netns && { netns }) };
  const running = pod.timeline.measure('runtime', () => parts.runtime.runPod(ctx, full));
  const joined = pod.timeline.measure('network', async () => {
    using own = input.users && (await openOwnNetns(parts, ctx, pod.id, running));
    await connect(parts, ctx, making, own ?? netns);
  });
  const [process] = await together([running, joined]);
  ctx.stage('record');
  const memo = making.network ? parts.network.memo(pod.id) : '';
  // Until this is written the pod can be undone as if it had never been, and is.
  const [ready] = await pod.timeline.measure('record', () =>
    together([
      parts.pods.changePod(
        ctx,
        pod,
        (status) => (pod.lost ? undefined : toReady(status, process, making.network)),
        'intent',
      ),
      parts.runtime.addDocument(ctx, pod.id, readyDocument(parts.bootId, pod, making.network, memo)),
    ]),
  );
  if (!ready) throw new BerthError('SHIM_DIED', `pod ${pod.id} ended while it was made`);
  rollback.commit();
}

/** The namespace that pause has made. */
async function openOwnNetns(
  parts: SandboxParts,
  ctx: Ctx,
  podId: string,
  running: Promise<unknown>,
): Promise<Fd | undefined> {
  await running;
  return parts.runtime.openNetns(ctx, podId);
}

/** The pod's network, and its files in /etc, which name its addresses. */
async function connect(parts: SandboxParts, ctx: Ctx, making: Making, netns: Fd | undefined): Promise<void> {
  const { pod, input, rollback } = making;
  if (netns) {
    const network = await parts.network.setUp(ctx, networkRequest(pod, netns, interfaceSysctls(pod.identity.config)));
    making.network = network;
    rollback.push(`network of pod ${pod.id}`, (cleanup) => parts.network.tearDown(cleanup, pod.id, network));
  }
  const directory = path.join(parts.podsDirectory, pod.id);
  rollback.push(`files of pod ${pod.id}`, () => parts.files.removeTree(directory));
  const dns = pod.identity.config.dns_config;
  const hasDns = dns !== null && dns.servers.length + dns.searches.length + dns.options.length > 0;
  await writePodFiles(
    parts.files,
    directory,
    {
      hostname: input.hostname,
      addresses: making.network?.addresses ?? [],
      dns: hasDns ? dns : null,
      nodeNetwork: input.network === 'node',
    },
    parts.etcDirectory,
  );
}

/** Undoes every step. What cannot be undone stays recorded, so that a stop, a remove or the recovery ends it. */
async function undo(parts: SandboxParts, ctx: Ctx, making: Making, cause: unknown): Promise<void> {
  const { pod, rollback } = making;
  const left = await rollback.rollBack(ctx);
  try {
    if (left.length === 0) await parts.pods.forgetPod(ctx, pod);
    else await parts.pods.changePod(ctx, pod, (status) => toFailed(status, messageOf(cause), making.network));
  } catch (error) {
    ctx.log.warn({ err: error }, 'could not write that the pod was not made; recovery will undo it');
  }
}

const nothing: Disposable = { [Symbol.dispose]: () => undefined };
