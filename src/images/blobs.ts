import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import type { Ctx } from '#base/ctx';
import { BerthError, errnoOf, toBerthError } from '#base/errors';
import { digestOf } from './config.ts';
import type { ImageDirs } from './image-dirs.ts';

/** Manifests and configs, each a file named by its digest. Layers are unpacked as they come and not kept as blobs. */
export class Blobs {
  readonly #dirs: ImageDirs;
  /** Operations that stored a blob and have not recorded it yet. */
  readonly #holders = new Map<string, number>();

  constructor(dirs: ImageDirs) {
    this.#dirs = dirs;
  }

  /** Stores the bytes and holds them until `letGo`. Durable only after a sync of the file system. */
  async put(_ctx: Ctx, bytes: Uint8Array): Promise<void> {
    const digest = digestOf(bytes);
    this.#holders.set(digest, (this.#holders.get(digest) ?? 0) + 1);
    const scratch = this.#dirs.scratch('blob');
    try {
      if ((await this.#sizeOf(digest)) === bytes.length) return;
      {
        await using file = await open(scratch, 'wx', 0o600);
        await file.writeFile(bytes);
      }
      await rename(scratch, this.#dirs.blob(digest));
    } catch (error) {
      await rm(scratch, { force: true });
      throw toBerthError(error, `store blob ${digest}`);
    }
  }

  /** @throws STATE_CORRUPT, KERNEL */
  async read(digest: string): Promise<Uint8Array> {
    try {
      const bytes = await readFile(this.#dirs.blob(digest));
      if (digestOf(bytes) === digest) return bytes;
    } catch (error) {
      throw toBerthError(error, `read blob ${digest}`);
    }
    throw new BerthError('STATE_CORRUPT', `blob ${digest} is damaged: remove the image and pull it again`);
  }

  /** The end of `put`: what no row owns by now, and nobody else holds, goes. */
  async letGo(ctx: Ctx, digest: string, isOwned: (digest: string) => boolean): Promise<void> {
    const left = (this.#holders.get(digest) ?? 1) - 1;
    if (left > 0) this.#holders.set(digest, left);
    else this.#holders.delete(digest);
    await this.remove(ctx, digest, isOwned);
  }

  /** Unless somebody needs it. Missing: no error. */
  async remove(_ctx: Ctx, digest: string, isOwned: (digest: string) => boolean): Promise<void> {
    if (this.isHeld(digest) || isOwned(digest)) return;
    await rm(this.#dirs.blob(digest), { force: true });
  }

  isHeld(digest: string): boolean {
    return this.#holders.has(digest);
  }

  /** The digests of all that is there. */
  async list(_ctx: Ctx): Promise<readonly string[]> {
    return (await readdir(this.#dirs.blobs)).map((name) => `sha256:${name}`);
  }

  async #sizeOf(digest: string): Promise<number | undefined> {
    try {
      return (await stat(this.#dirs.blob(digest))).size;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}
