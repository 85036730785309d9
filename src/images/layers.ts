import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import type { Ctx } from '#base/ctx';
import { BerthError, toBerthError } from '#base/errors';
import { KeyedLock } from '#base/keyed-lock';
import type { Addon } from '#linux/addon';
import type { Collection } from '#store/collection';
import { tarEnd, tarEntry } from './archive/tar-header.ts';
import type { ImageDirs } from './image-dirs.ts';
import type { LayerSource } from './layer-source.ts';
import { MergedTree } from './merged-tree.ts';
import type { LayerRow } from './rows.ts';
import { unpackLayer, wasKilled } from './unpack-layer.ts';
import type { UnpackResult } from './unpack-layer.ts';

export interface LayersOptions {
  readonly addon: Addon;
  readonly dirs: ImageDirs;
  readonly rows: Collection<LayerRow>;
  readonly unpackBinary: string;
  readonly maxLayerBytes: (() => number) | undefined;
  /** Whether an image or a lease needs the layer. */
  readonly isUsed: (key: string) => boolean;
}

export interface WantedLayer {
  readonly diffId: string;
  readonly chainId: string;
  readonly source: LayerSource;
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** An unpacked layer that stays while an operation holds it. */
export interface PinnedLayer {
  readonly row: LayerRow;
  /** It was there already. */
  readonly reused: boolean;
  unpin(): Promise<void>;
}

interface Held {
  readonly row: LayerRow;
  /** On disk as a row; otherwise it goes with its last pin. */
  committed: boolean;
  pins: number;
}

/** All unpacked layers: each is made once, whoever asks, and goes when nobody needs it. */
export class Layers {
  readonly #options: LayersOptions;
  readonly #held = new Map<string, Held>();
  readonly #lock = new KeyedLock();
  #lastName: number;

  /** @param names directories that exist: none of their names is given again */
  constructor(options: LayersOptions, names: readonly string[]) {
    this.#options = options;
    for (const row of options.rows.values()) this.#held.set(row.key, { row, committed: true, pins: 0 });
    const numbers = names.filter((name) => /^[0-9a-z]+$/.test(name)).map((name) => Number.parseInt(name, 36));
    this.#lastName = Math.max(0, ...numbers.filter(Number.isSafeInteger));
  }

  get(key: string): LayerRow | undefined {
    return this.#held.get(key)?.row;
  }

  rows(): readonly LayerRow[] {
    return [...this.#held.values()].map((held) => held.row);
  }

  committedRows(): readonly LayerRow[] {
    return [...this.#held.values()].filter((held) => held.committed).map((held) => held.row);
  }

  isCommitted(key: string): boolean {
    return this.#held.get(key)?.committed ?? false;
  }

  /** The rows are on disk now. */
  markCommitted(keys: Iterable<string>): void {
    for (const key of keys) {
      const held = this.#held.get(key);
      if (held) held.committed = true;
    }
  }

  /**
   * Gives the layer, unpacking it if nobody has.
   *
   * @param below the layers under this one, top first; asked for only when directories must take their attributes from
   *   there
   */
  async ensure(ctx: Ctx, wanted: WantedLayer, below: () => Promise<readonly LayerRow[]>): Promise<PinnedLayer> {
    const chainKey = `chain/${wanted.chainId}`;
    let unpacked: { scratch: string; result: UnpackResult };
    {
      using _turn = await this.#lock.acquire(wanted.diffId, ctx.signal);
      const held = this.#held.get(wanted.diffId) ?? this.#held.get(chainKey);
      if (held) return this.#pin(held, true);
      unpacked = await this.#unpack(ctx, wanted);
      if (unpacked.result.implied.length === 0) return await this.#publish(wanted.diffId, unpacked);
    }
    // Right for this chain only. Not under the lock: another image may have the same layers the other way round.
    try {
      await this.#takeFromBelow(ctx, unpacked, await below());
    } catch (error) {
      await this.#options.dirs.removeTree(unpacked.scratch);
      throw error;
    }
    using _turn = await this.#lock.acquire(chainKey);
    const held = this.#held.get(chainKey);
    if (!held) return await this.#publish(chainKey, unpacked);
    await this.#options.dirs.removeTree(unpacked.scratch);
    return this.#pin(held, true);
  }

  /**
   * Takes layers out of use that neither image, lease nor operation needs. From here on nobody can get them; delete
   * their rows, then call `removeFromDisk`.
   */
  takeUnused(keys: Iterable<string>): readonly LayerRow[] {
    const unused: LayerRow[] = [];
    for (const key of new Set(keys)) {
      const held = this.#held.get(key);
      if (!held || held.pins > 0 || this.#options.isUsed(key)) continue;
      this.#held.delete(key);
      unused.push(held.row);
    }
    return unused;
  }

  /** Takes in directories whose rows were lost. */
  adopt(rows: readonly LayerRow[]): void {
    for (const row of rows) this.#held.set(row.key, { row, committed: true, pins: 0 });
  }

  /** The rows could not be deleted: the layers are there as before. */
  putBack(rows: readonly LayerRow[]): void {
    for (const row of rows) {
      if (!this.#held.has(row.key)) this.#held.set(row.key, { row, committed: true, pins: 0 });
    }
  }

  async removeFromDisk(ctx: Ctx, rows: readonly LayerRow[]): Promise<void> {
    for (const row of rows) {
      try {
        await this.#options.dirs.removeLayer(row.name);
      } catch (error) {
        // It is a stray now; the next start tries again.
        ctx.log.warn({ layer: row.name, err: error }, 'could not remove a layer');
      }
    }
  }

  #pin(held: Held, reused: boolean): PinnedLayer {
    held.pins++;
    let pinned = true;
    const unpin = async (): Promise<void> => {
      if (!pinned) return;
      pinned = false;
      held.pins--;
      if (held.pins > 0 || held.committed) return;
      this.#held.delete(held.row.key);
      await this.#options.dirs.removeLayer(held.row.name);
    };
    return { row: held.row, reused, unpin };
  }

  async #publish(key: string, unpacked: { scratch: string; result: UnpackResult }): Promise<PinnedLayer> {
    const { dirs } = this.#options;
    const { diffId, bytes, inodes, opaque } = unpacked.result;
    const name = (++this.#lastName).toString(36);
    try {
      await rename(unpacked.scratch, dirs.layer(name));
    } catch (error) {
      await this.#options.dirs.removeTree(unpacked.scratch);
      throw toBerthError(error, `place layer ${diffId}`);
    }
    const held: Held = { row: { key, name, diffId, bytes, inodes, opaque }, committed: false, pins: 0 };
    this.#held.set(key, held);
    return this.#pin(held, false);
  }

  /** One that is killed from outside (for memory, say) gets a second attempt: a new directory, and the bytes anew. */
  async #unpack(ctx: Ctx, wanted: WantedLayer): Promise<{ scratch: string; result: UnpackResult }> {
    try {
      return await this.#unpackOnce(ctx, wanted);
    } catch (error) {
      if (!wasKilled(error)) throw error;
      ctx.log.warn({ err: error }, 'an unpacker was killed; its layer is unpacked once more');
      return this.#unpackOnce(ctx, wanted);
    }
  }

  async #unpackOnce(ctx: Ctx, wanted: WantedLayer): Promise<{ scratch: string; result: UnpackResult }> {
    const { addon, dirs, unpackBinary } = this.#options;
    const scratch = dirs.scratch('layer');
    try {
      await mkdir(scratch, { mode: 0o755 });
      const result = await wanted.source.read(ctx, (inner, input) =>
        unpackLayer(inner, {
          addon,
          binary: unpackBinary,
          input,
          destination: scratch,
          what: `layer ${wanted.diffId}`,
          expectCompressed: wanted.source.digest,
          expectDiffId: wanted.diffId,
          maxBytes: this.#options.maxLayerBytes?.(),
          onProgress: wanted.onProgress,
        }),
      );
      if (result.ignored > 0) {
        const { diffId } = wanted;
        ctx.log.warn(
          { diffId, bytes: result.ignored },
          'a layer has bytes behind the end of its tar; they are ignored',
        );
      }
      return { scratch, result };
    } catch (error) {
      await this.#options.dirs.removeTree(scratch);
      const failure = toBerthError(error, `unpack layer ${wanted.diffId}`);
      if (failure.code !== 'RESOURCE_EXHAUSTED') throw failure;
      throw new BerthError(failure.code, `${failure.message}: make room below ${dirs.root}`, { cause: failure });
    }
  }

  /**
   * Gives implied directories mode, owner and time of the directory they cover. The unpacker does it, from a tar made of
   * those directories alone: it cannot be led out of the layer.
   */
  async #takeFromBelow(
    ctx: Ctx,
    unpacked: { scratch: string; result: UnpackResult },
    below: readonly LayerRow[],
  ): Promise<void> {
    if (below.length === 0) return;
    const { addon, dirs, unpackBinary } = this.#options;
    const tree = new MergedTree(below.map((row) => ({ directory: dirs.layer(row.name), opaque: row.opaque })));
    const entries: Buffer[] = [];
    const hiding = new Set(unpacked.result.opaque);
    for (const path of unpacked.result.implied) {
      // What this layer hides gives nothing.
      if (hiding.has('') || ancestry(path).some((directory) => hiding.has(directory))) continue;
      const stats = (await tree.find(path))?.stats;
      const name = Buffer.from(path, 'latin1').toString('utf8');
      if (!stats?.isDirectory() || name.includes('\ufffd')) continue;
      const { uid, gid, mtimeMs } = stats;
      const mtime = Math.max(0, Math.floor(mtimeMs / 1000));
      entries.push(tarEntry({ name, type: '5', mode: stats.mode & 0o7777, uid, gid, mtime }));
    }
    if (entries.length === 0) return;
    const scratch = dirs.scratch('attributes');
    try {
      await writeFile(scratch, Buffer.concat([...entries, tarEnd()]), { flag: 'wx', mode: 0o600 });
      await using file = await open(scratch, 'r');
      await unpackLayer(ctx, {
        addon,
        binary: unpackBinary,
        input: { fd: file.fd, handedOver: () => undefined },
        destination: unpacked.scratch,
        what: `directories of layer ${unpacked.result.diffId}`,
      });
    } finally {
      await rm(scratch, { force: true });
    }
  }
}

/** "a/b/c": "a", "a/b", "a/b/c". */
function ancestry(path: string): readonly string[] {
  const parts = path.split('/');
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}
