import type { Ctx } from '#base/ctx';
import { BerthError, errnoOf, toBerthError } from '#base/errors';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';
import type { TreeLayer } from './merged-tree.ts';
import { MergedTree } from './merged-tree.ts';

export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
}

const maxBytes = 1024 * 1024;
const maxCached = 64;

/** /etc/passwd and /etc/group of images, read across their layers without a mount. */
export class Accounts {
  readonly #addon: Addon;
  readonly #cache = new Map<string, AccountFiles>();

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  /**
   * @param layers top first
   * @throws IMAGE_INVALID when a file is larger than 1 MiB
   */
  async read(_ctx: Ctx, imageId: string, layers: readonly TreeLayer[]): Promise<AccountFiles> {
    const cached = this.#cache.get(imageId);
    this.#cache.delete(imageId);
    const tree = new MergedTree(layers);
    const files = cached ?? {
      passwd: await this.#readFile(tree, layers, 'etc/passwd', imageId),
      group: await this.#readFile(tree, layers, 'etc/group', imageId),
    };
    // Newest last: the first is the one nobody asked for longest.
    this.#cache.set(imageId, files);
    const [oldest] = this.#cache.keys();
    if (this.#cache.size > maxCached && oldest !== undefined) this.#cache.delete(oldest);
    return files;
  }

  async #readFile(tree: MergedTree, layers: readonly TreeLayer[], path: string, imageId: string): Promise<string> {
    try {
      const found = await tree.find(path);
      const layer = found && layers[found.layer];
      // Bytes that are no UTF-8 in the way to it are no honest image either.
      const name = Buffer.from(found?.path ?? '', 'latin1').toString('utf8');
      if (!layer || !found.stats.isFile() || name.includes('\ufffd')) return '';
      using root = new Fd(this.#addon.openDirectory(layer.directory), (fd) => this.#addon.close(fd));
      return Buffer.from(this.#addon.readFileInRoot(root.number, name, maxBytes)).toString('utf8');
    } catch (error) {
      if (errnoOf(error) === 'EFBIG') {
        const message = `/${path} of image ${imageId} is larger than ${maxBytes} bytes`;
        throw new BerthError('IMAGE_INVALID', message, { cause: error });
      }
      throw toBerthError(error, `read /${path} of image ${imageId}`);
    }
  }
}
