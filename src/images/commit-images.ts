import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import { toBerthError } from '#base/errors';
import type { KeyedLock } from '#base/keyed-lock';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';
import type { Change, Store } from '#store/collection';
import type { Blobs } from './blobs.ts';
import { digestOf } from './config.ts';
import type { UnknownImageFields } from './image-fields.ts';
import type { ImageIndex } from './image-index.ts';
import type { Layers } from './layers.ts';
import type { PreparedImage } from './prepare-image.ts';
import type { ImageRow, Rows } from './rows.ts';

export interface CommitDeps {
  readonly addon: Addon;
  readonly clock: Clock;
  readonly store: Store;
  /** The images' directory. */
  readonly root: string;
  readonly rows: Rows;
  readonly index: ImageIndex;
  readonly layers: Layers;
  readonly blobs: Blobs;
  /** Changes of image rows, one after another. */
  readonly changes: KeyedLock;
  readonly ownsBlob: (digest: string) => boolean;
  readonly freeLayers: (ctx: Ctx, keys: Iterable<string>) => Promise<void>;
  /** Told of every image that is read, also one that is here already. */
  readonly countUnknown: (fields: UnknownImageFields) => void;
}

/** Names of one kind an image keeps: a tag that moves every day must not make its row grow for ever. */
const maxNames = 128;

/**
 * Makes images visible that `prepare` has put on disk, in the order that survives a power loss: files, syncfs, then
 * rows, in one transaction. Whatever fails, nothing partial is ever seen and nothing is left.
 *
 * @param prepare pushes each image as soon as its layers are held
 * @returns their ids
 */
export async function commitImages(
  ctx: Ctx,
  deps: CommitDeps,
  prepare: (prepared: PreparedImage[]) => Promise<void>,
): Promise<readonly string[]> {
  const { blobs, ownsBlob, freeLayers } = deps;
  const prepared: PreparedImage[] = [];
  const stored: string[] = [];
  // Before anything is written: a file system tells of lost writes only those who had it open when they were lost.
  using directory = openRoot(deps);
  try {
    await prepare(prepared);
    for (const { unknownFields } of prepared) deps.countUnknown(unknownFields);
    if (prepared.every((image) => isHere(deps, image))) return prepared.map(({ row }) => row.id);
    for (const document of prepared.flatMap((image) => image.documents)) {
      stored.push(digestOf(document));
      await blobs.put(ctx, document);
    }
    ctx.stage('sync');
    await sync(deps, directory);
    ctx.signal.throwIfAborted();
    ctx.stage('record');
    return await record(ctx, deps, prepared);
  } finally {
    for (const digest of stored) await blobs.letGo(ctx, digest, ownsBlob);
    for (const pin of prepared.flatMap((image) => image.pins)) await pin.unpin();
    // A layer that its image lost while we held it, and that nobody needs now.
    await freeLayers(
      ctx,
      prepared.flatMap((image) => image.row.layers),
    );
  }
}

/** Whether the image is visible under these names already, to the last document: nothing has to be written. */
function isHere({ index, layers }: CommitDeps, { row }: PreparedImage): boolean {
  const there = index.get(row.id);
  return (
    there !== undefined &&
    [...row.repoTags, ...row.repoDigests].every((name) => hasName(there, name)) &&
    isDeepStrictEqual([there.layers, there.blobs], [row.layers, row.blobs]) &&
    row.layers.every((key) => layers.isCommitted(key))
  );
}

function openRoot({ addon, root }: CommitDeps): Fd {
  try {
    return new Fd(addon.open(root, 0, 0), (fd) => addon.close(fd));
  } catch (error) {
    throw toBerthError(error, `open ${root}`);
  }
}

async function sync({ addon, root }: CommitDeps, directory: Fd): Promise<void> {
  try {
    await addon.syncfs(directory.number);
  } catch (error) {
    throw toBerthError(error, `sync ${root}`);
  }
}

/** One transaction for all images and the layers they brought: all visible, or none. */
async function record(ctx: Ctx, deps: CommitDeps, prepared: readonly PreparedImage[]): Promise<readonly string[]> {
  const { store, rows, index, layers, blobs, ownsBlob } = deps;
  using _turn = await deps.changes.acquire('images', ctx.signal);
  const changed = changedRows(deps, prepared);
  const replaced = [...changed.keys()].flatMap((id) => index.get(id)?.blobs ?? []);
  const held = prepared.flatMap((image) => image.pins.map((pin) => pin.row));
  const fresh = [...new Map(held.map((row) => [row.key, row])).values()].filter(({ key }) => !layers.isCommitted(key));
  await store.transaction(ctx, [
    ...fresh.map((row): Change => ({ op: 'put', collection: rows.layers, id: row.key, value: row })),
    ...[...changed.values()].map((row): Change => ({ op: 'put', collection: rows.images, id: row.id, value: row })),
  ]);
  layers.markCommitted(fresh.map((row) => row.key));
  for (const row of changed.values()) index.set(row);
  for (const digest of replaced) await blobs.remove(ctx, digest, ownsBlob);
  return prepared.map(({ row }) => row.id);
}

/** The rows as they will be: a name belongs to the image that took it last. */
function changedRows({ index, clock }: CommitDeps, prepared: readonly PreparedImage[]): ReadonlyMap<string, ImageRow> {
  const changed = new Map<string, ImageRow>();
  for (const { row } of prepared) {
    for (const name of [...row.repoTags, ...row.repoDigests]) {
      const owner = [...changed.values()].find((other) => hasName(other, name)) ?? index.ownerOf(name);
      if (owner && owner.id !== row.id) changed.set(owner.id, withoutName(changed.get(owner.id) ?? owner, name));
    }
    const before = changed.get(row.id) ?? index.get(row.id);
    changed.set(row.id, {
      ...row,
      repoTags: union(before?.repoTags, row.repoTags),
      repoDigests: union(before?.repoDigests, row.repoDigests),
      createdAtNs: before?.createdAtNs ?? clock.nowNs(),
    });
  }
  return changed;
}

function hasName(row: ImageRow, name: string): boolean {
  return row.repoTags.includes(name) || row.repoDigests.includes(name);
}

function withoutName(row: ImageRow, name: string): ImageRow {
  return {
    ...row,
    repoTags: row.repoTags.filter((tag) => tag !== name),
    repoDigests: row.repoDigests.filter((digest) => digest !== name),
  };
}

/** The newest last. */
function union(before: readonly string[] = [], added: readonly string[]): readonly string[] {
  return [...before.filter((name) => !added.includes(name)), ...new Set(added)].slice(-maxNames);
}
