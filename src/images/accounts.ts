import { BerthError, errnoOf, toBerthError } from '#base/errors';
import { KeyedLock } from '#base/keyed-lock';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';
import type { TreeLayer } from './merged-tree.ts';
import { MergedTree } from './merged-tree.ts';

/** /etc/passwd and /etc/group of an image as text, each read when it is asked for; "" for what is no regular file. */
export interface AccountFiles {
  /** @throws IMAGE_INVALID when it is larger than `maxAccountBytes` */
  passwd(): Promise<string>;
  /** @throws IMAGE_INVALID when it is larger than `maxAccountBytes` */
  group(): Promise<string>;
}

/** Directory services write tens of thousands of lines; much more is no list of accounts. */
export const maxAccountBytes = 16 * 1024 * 1024;

/** What is kept in memory of all images: the files of nearly all of them, and none of the huge ones. */
const maxCachedFile = 64 * 1024;
const maxCached = 128;

/** The account files of images, read across their layers without a mount. */
export class Accounts {
  readonly #addon: Addon;
  readonly #cache = new Map<string, string>();
  /** One at a time: a huge one is in memory only while somebody looks through it. */
  readonly #turns = new KeyedLock();

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  /** @param layers top first */
  of(imageId: string, layers: readonly TreeLayer[]): AccountFiles {
    return {
      passwd: () => this.#read(imageId, layers, 'etc/passwd'),
      group: () => this.#read(imageId, layers, 'etc/group'),
    };
  }

  async #read(imageId: string, layers: readonly TreeLayer[], path: string): Promise<string> {
    const key = `${imageId}/${path}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) return this.#keep(key, cached);
    using _turn = await this.#turns.acquire(path);
    return this.#keep(key, await this.#readFile(layers, path, imageId));
  }

  #keep(key: string, text: string): string {
    // Newest last: the first is the one nobody asked for longest.
    this.#cache.delete(key);
    if (text.length <= maxCachedFile) this.#cache.set(key, text);
    const [oldest] = this.#cache.keys();
    if (this.#cache.size > maxCached && oldest !== undefined) this.#cache.delete(oldest);
    return text;
  }

  async #readFile(layers: readonly TreeLayer[], path: string, imageId: string): Promise<string> {
    try {
      const found = await new MergedTree(layers).find(path);
      const layer = found && layers[found.layer];
      // Bytes that are no UTF-8 in the way to it are no honest image either.
      const name = Buffer.from(found?.path ?? '', 'latin1').toString('utf8');
      if (!layer || !found.stats.isFile() || name.includes('\ufffd')) return '';
      using root = new Fd(this.#addon.openDirectory(layer.directory), (fd) => this.#addon.close(fd));
      return Buffer.from(this.#addon.readFileInRoot(root.number, name, maxAccountBytes)).toString('utf8');
    } catch (error) {
      if (errnoOf(error) === 'EFBIG') {
        const message = `/${path} of image ${imageId} is larger than ${maxAccountBytes} bytes: name user and group by number`;
        throw new BerthError('IMAGE_INVALID', message, { cause: error });
      }
      throw toBerthError(error, `read /${path} of image ${imageId}`);
    }
  }
}
