import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, toBerthError } from '#base/errors';
import type { Files } from '#linux/files';

/** The directory below layers/ that stands for "no layers": an overlay wants at least one. No row has this name. */
export const emptyLayer = '_';

/**
 * The directories of images below one root.
 *
 *     <root>/layers/<short name>/   unpacked layers that rows name
 *     <root>/blobs/sha256/<digits>  manifests and configs
 *     <root>/tmp/<anything>         in the making, or on the way out: swept at start
 */
export class ImageDirs {
  readonly root: string;
  readonly layers: string;
  readonly blobs: string;
  readonly tmp: string;
  /** Tells our scratch names from those of an earlier process, which may have had our pid. */
  readonly #token = randomBytes(6).toString('hex');
  #count = 0;

  readonly #files: Pick<Files, 'removeTree'>;

  constructor(root: string, files: Pick<Files, 'removeTree'>) {
    this.root = root;
    this.#files = files;
    this.layers = path.join(root, 'layers');
    this.blobs = path.join(root, 'blobs', 'sha256');
    this.tmp = path.join(root, 'tmp');
  }

  async create(): Promise<void> {
    try {
      const blobs = path.dirname(this.blobs);
      for (const directory of [this.layers, blobs, this.blobs, this.tmp]) {
        await mkdir(directory, { recursive: true, mode: 0o700 });
      }
      await mkdir(this.layer(emptyLayer), { recursive: true, mode: 0o755 });
    } catch (error) {
      throw toBerthError(error, `make the image directories below ${this.root}`);
    }
  }

  /** A path below tmp/ that nobody has. */
  scratch(kind: string): string {
    this.#count++;
    return path.join(this.tmp, `${kind}-${this.#token}-${this.#count}`);
  }

  layer(name: string): string {
    return path.join(this.layers, name);
  }

  blob(digest: string): string {
    return path.join(this.blobs, digest.slice('sha256:'.length));
  }

  async layerNames(): Promise<readonly string[]> {
    return await readdir(this.layers);
  }

  /** What is in tmp/ and not of this process. */
  async foreignScratch(): Promise<readonly string[]> {
    return (await readdir(this.tmp)).filter((name) => !name.includes(this.#token));
  }

  /** Gone from its place at once, from the disk a little later. Missing: no error. */
  async removeLayer(name: string): Promise<void> {
    const grave = this.scratch('removed');
    try {
      await rename(this.layer(name), grave);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw error;
    }
    await this.removeTree(grave);
  }

  async removeScratch(name: string): Promise<void> {
    await this.removeTree(path.join(this.tmp, name));
  }

  /** A tree of an image, which may be deeper than a path is long. Missing: no error. */
  async removeTree(directory: string): Promise<void> {
    await this.#files.removeTree(directory);
  }
}
