import { isDeepStrictEqual } from 'node:util';
import type { Ctx } from '#base/ctx';
import { messageOf } from '#base/errors';
import { isId } from '#base/ids';
import type { PodDocuments } from '#runtime/runtime';
import {
  type ContainerDocument,
  type PodDocument,
  readContainerDocument,
  readPodDocument,
  type ReadyDocument,
  readReadyDocument,
} from './documents.ts';
import type { SandboxParts } from './parts.ts';
import { Container, Pod } from './pod.ts';
import { portMappings } from './pod-network-request.ts';
import type { ContainerRecord, PodRecord } from './records.ts';
import { attempt } from './recovery-notes.ts';
import { isStopped, newContainer, rebuiltPod } from './states.ts';

/** What lies beside the shims, as far as it can be read and is of this boot. */
export interface Documents {
  readonly pods: ReadonlyMap<string, PodDocument>;
  readonly ready: ReadonlyMap<string, ReadyDocument>;
  readonly containers: ReadonlyMap<string, ContainerDocument>;
}

/**
 * Fills the table from what there is: the store's records, and the documents in the pods' directories. A record is the
 * intent; where it is missing, damaged or contradicts the document, the document says who it is.
 */
export async function readSources(parts: SandboxParts, ctx: Ctx): Promise<Documents> {
  const documents = await readDocuments(parts, ctx);
  noteUntouched(parts, documents);
  const { pods, containers } = parts.pods.collections;
  const podIds = new Set([...pods.values().map(({ id }) => id), ...documents.pods.keys()]);
  for (const id of podIds) await attempt(ctx, `read pod ${id}`, () => readPod(parts, ctx, id, documents));
  const containerIds = new Set([...containers.values().map(({ id }) => id), ...documents.containers.keys()]);
  for (const id of containerIds) {
    await attempt(ctx, `read container ${id}`, () => readContainer(parts, ctx, id, documents.containers.get(id)));
  }
  await readSpecs(parts, ctx, documents);
  return documents;
}

async function readDocuments(parts: SandboxParts, ctx: Ctx): Promise<Documents> {
  let texts: ReadonlyMap<string, PodDocuments> = new Map();
  await attempt(ctx, 'read the documents of pods', async () => {
    texts = await parts.runtime.documents(ctx);
  });
  const pods = new Map<string, PodDocument>();
  const ready = new Map<string, ReadyDocument>();
  const containers = new Map<string, ContainerDocument>();
  for (const [podId, { pod, more, containers: inside }] of texts) {
    const document = readPodDocument(parts.bootId, podId, pod);
    const whole = readReadyDocument(parts.bootId, podId, more);
    if (document) pods.set(podId, document);
    if (whole) ready.set(podId, whole);
    for (const [id, text] of inside) {
      const found = readContainerDocument(parts.bootId, id, text);
      if (found?.podId === podId) containers.set(id, found);
      else ctx.log.error({ podId, containerId: id }, 'document of a container is damaged, or of another boot or pod');
    }
  }
  return { pods, ready, containers };
}

/** What a newer berthd wrote in a form that nothing here understands is not ended for that. */
function noteUntouched(parts: SandboxParts, documents: Documents): void {
  const { collections, untouched } = parts.pods;
  for (const { key } of parts.store.newer) {
    const [kind, id = ''] = key.split('/');
    if (kind === 'pod' && !collections.pods.get(id) && !documents.pods.has(id)) untouched.pods.add(id);
    if (kind === 'container' && !collections.containers.get(id) && !documents.containers.has(id)) {
      untouched.containers.add(id);
    }
  }
  const inside = [...collections.containers.values(), ...documents.containers.values()];
  for (const { id, podId } of inside) if (untouched.pods.has(podId)) untouched.containers.add(id);
}

async function readPod(parts: SandboxParts, ctx: Ctx, id: string, documents: Documents): Promise<void> {
  const { pods } = parts.pods.collections;
  const record = pods.get(id);
  const document = documents.pods.get(id);
  if (record && (!document || document.identity === record.identity)) {
    const pod = podOf(parts, record);
    if (pod instanceof Pod && !(document && isLate(record, documents))) {
      parts.pods.enterPod(pod);
      return;
    }
    if (!(pod instanceof Pod)) await parts.store.quarantine(ctx, pods, id, pod.reason);
  } else if (record) {
    await parts.store.quarantine(ctx, pods, id, 'it contradicts the document in the directory of the pod');
  }
  if (!document) return;
  const status = rebuiltPod(document.createdAtNs, documents.ready.get(id));
  const rebuilt = podOf(parts, { id, identity: document.identity, status });
  if (!(rebuilt instanceof Pod)) throw new Error(`the document of pod ${id} cannot be read: ${rebuilt.reason}`);
  rebuilt.rebuilt = true;
  ctx.log.error({ podId: id, state: status.state }, 'the record of a pod was lost; it is made again from its document');
  await parts.pods.restorePod(ctx, rebuilt);
}

/** The store has lost its newest records: the pod was whole, and whoever asked for it may know it. */
const isLate = ({ id, status }: PodRecord, { ready }: Documents): boolean =>
  status.state === 'creating' && ready.has(id);

function podOf(parts: SandboxParts, { id, identity, status }: PodRecord): Pod | { readonly reason: string } {
  try {
    return new Pod(id, parts.codec.decodePod(Buffer.from(identity, 'base64')), identity, status);
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

async function readContainer(
  parts: SandboxParts,
  ctx: Ctx,
  id: string,
  document: ContainerDocument | undefined,
): Promise<void> {
  if (parts.pods.untouched.containers.has(id)) return;
  const { containers } = parts.pods.collections;
  const record = containers.get(id);
  const agree =
    record && document && record.identity === document.identity && isDeepStrictEqual(record.made, document.made);
  if (record && (!document || agree)) {
    const container = containerOf(parts, record);
    if (container instanceof Container) {
      // Whoever had it started may have waited for the answer of the berthd that has gone.
      container.startUntold = record.status.state !== 'exited';
      parts.pods.enterContainer(container);
      return;
    }
    await parts.store.quarantine(ctx, containers, id, container.reason);
  } else if (record) {
    await parts.store.quarantine(ctx, containers, id, 'it contradicts the document in the directory of the pod');
  }
  if (!document) return;
  const rebuilt = containerOf(parts, { ...document, status: newlyCreated(document) });
  if (!(rebuilt instanceof Container)) throw new Error(`the document of container ${id}: ${rebuilt.reason}`);
  rebuilt.rebuilt = true;
  rebuilt.startUntold = true;
  const fields = { podId: rebuilt.podId, containerId: id };
  ctx.log.error(fields, 'the record of a container was lost; it is made again from its document');
  await parts.pods.restoreContainer(ctx, rebuilt);
}

const newlyCreated = ({ createdAtNs }: ContainerDocument): ContainerRecord['status'] => ({
  ...newContainer(createdAtNs),
  state: 'created',
});

function containerOf(
  parts: SandboxParts,
  { id, podId, identity: encoded, made, status }: ContainerRecord,
): Container | { readonly reason: string } {
  try {
    const identity = parts.codec.decodeContainer(Buffer.from(encoded, 'base64'));
    if (identity.podId !== podId) return { reason: `it is said to be in two pods, ${podId} and ${identity.podId}` };
    if (!parts.pods.pod(podId)) return { reason: `its pod ${podId} is not known` };
    return new Container(id, identity, encoded, made, status);
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

/** What containers run by. */
async function readSpecs(parts: SandboxParts, ctx: Ctx, { containers }: Documents): Promise<void> {
  const { specs } = parts.pods.collections;
  const { untouched } = parts.pods;
  for (const { id } of specs.values()) {
    if (parts.pods.container(id) || untouched.containers.has(id)) continue;
    await attempt(ctx, `delete spec ${id}`, () => specs.delete(ctx, id));
  }
  for (const { id, spec } of containers.values()) {
    if (specs.get(id) || !parts.pods.container(id) || spec.id !== id) continue;
    await attempt(ctx, `write spec ${id}`, () => specs.put(ctx, id, spec, 'fact'));
  }
}

/** Addresses and ports that pods of this boot have are theirs, whatever the network's records say. */
export async function restoreNetworks(parts: SandboxParts, ctx: Ctx, { ready }: Documents): Promise<void> {
  const pods = parts.pods.allPods().filter((pod) => !isStopped(pod.status) && isOfThisBoot(parts, pod));
  await Promise.all(
    pods.map((pod) =>
      attempt(ctx, `take in the network of pod ${pod.id} again`, async () => {
        const { network: record } = pod.status;
        if (!record) return;
        const known = { podId: pod.id, record, portMappings: portMappings(pod.identity.config) };
        await parts.network.restore(ctx, known, ready.get(pod.id)?.memo ?? '');
      }),
    ),
  );
}

export function isOfThisBoot(parts: SandboxParts, pod: Pod): boolean {
  const written = parts.pods.collections.pods.bootId(pod.id);
  // What could not be recorded was read from this boot's document.
  return pod.rebuilt || written === parts.bootId;
}

/** Ids that were Berth's once and are nobody's now: what else has them is Berth's as well. */
export function formerIds(parts: SandboxParts, layers: readonly string[]): ReadonlySet<string> {
  const { quarantined, unknown } = parts.store;
  const ids = [...quarantined.map(({ key }) => key), ...unknown].map((key) => key.slice(key.indexOf('/') + 1));
  return new Set([...layers, ...ids.filter(isId)]);
}
