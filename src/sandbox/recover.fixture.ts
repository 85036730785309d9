import { createCtx } from '#base/ctx';
import type { FakeContainer } from '#runtime/machine.fake';
import type { ExitInfo } from '#runtime/runtime';
import { decodeRecord, encodeRecord } from '#store/record';
import { containerRecords, podRecords, type ContainerStatus, type PodStatus } from './records.ts';
import { containerIdentity, type FakeNode, runningContainer } from './sandboxes.fixture.ts';

export interface Left {
  readonly podId: string;
  readonly created: string;
  readonly running: string;
}

/** A pod with a created and a running container, and then no berthd. */
export async function leave(node: FakeNode, name?: string): Promise<Left> {
  const ctx = createCtx();
  const it = await node.start();
  const { podId, id: running } = await runningContainer(it, name);
  const created = await it.sandboxes.createContainer(ctx, containerIdentity(podId, 'waiting'));
  await it.sandboxes[Symbol.asyncDispose]();
  return { podId, created, running };
}

export function shimOf(node: FakeNode, podId: string): Map<string, FakeContainer> {
  const pod = node.machine.pods.get(podId);
  if (!pod) throw new Error(`no shim of ${podId}`);
  return pod.containers;
}

export const exit = (exitCode: number): ExitInfo => ({
  ...{ exitCode, signal: 0, oomKilled: false },
  ...{ finishedAtNs: 9n, startedAtNs: 8n },
});

/** What may have become of a record while no berthd was there. */
export type Damage = 'absent' | 'damaged' | 'not JSON' | 'newer' | 'much newer' | 'of another' | 'contradicting';

export const lostBy: readonly Damage[] = ['absent', 'damaged', 'not JSON', 'of another', 'contradicting'];
export const allDamages: readonly Damage[] = [...lostBy, 'newer', 'much newer'];

/** Does it to one record of the store. */
export function damage(node: FakeNode, kind: 'pod' | 'container', id: string, how: Damage): void {
  const key = `${kind}/${id}`;
  const { content } = node.disk;
  const raw = content.get(key) ?? '';
  const envelope = JSON.parse(raw) as { v: number; value: { identity: string; status: { state: string } } };
  switch (how) {
    case 'absent':
      content.delete(key);
      return;
    case 'damaged':
      content.set(key, raw.replace(/"createdAtNs":"1/, '"createdAtNs":"2'));
      return;
    case 'not JSON':
      content.set(key, raw.slice(0, raw.length / 2));
      return;
    case 'newer':
      content.set(key, JSON.stringify({ ...envelope, v: 9 }));
      return;
    case 'much newer':
      content.set(key, JSON.stringify({ v: 9, bootId: node.bootId, value: { form: 'nobody here knows' } }));
      return;
    case 'of another': {
      const other = 'd'.repeat(64);
      content.set(key, raw.replaceAll(`"id":"${id}"`, `"id":"${other}"`));
      return;
    }
    case 'contradicting': {
      // Right in itself: only the document tells that it is not this one's.
      const { identity } = envelope.value;
      const text = Buffer.from(identity, 'base64')
        .toString('latin1')
        .replace('default', 'defaulT')
        .replace('app', 'apq');
      const value = kind === 'pod' ? decodeRecord(podRecords, raw, id) : decodeRecord(containerRecords, raw, id);
      if (!value.ok) throw new Error(value.reason);
      const changed = { ...value.value, identity: Buffer.from(text, 'latin1').toString('base64') };
      content.set(key, encodeRecord(1, node.bootId, changed));
    }
  }
}

/** Changes a status, and leaves the record whole. */
export function changeRecord(
  node: FakeNode,
  kind: 'pod' | 'container',
  id: string,
  change: (status: ContainerStatus & PodStatus) => object,
): void {
  const key = `${kind}/${id}`;
  const decoded = decodeRecord<{ status: ContainerStatus & PodStatus }>(
    { version: 1, parse: (value) => value as { status: ContainerStatus & PodStatus } },
    node.disk.content.get(key) ?? '',
    id,
  );
  if (!decoded.ok) throw new Error(decoded.reason);
  const { value, bootId } = decoded;
  node.disk.content.set(key, encodeRecord(1, bootId, { ...value, status: change(value.status) }));
}

/** What lies beside the shims, as a berthd without documents left it. */
export function withoutDocuments(node: FakeNode): void {
  for (const documents of node.machine.documents.values()) {
    documents.pod = undefined;
    documents.more = undefined;
    documents.containers.clear();
  }
}
