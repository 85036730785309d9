import type { Stats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { errnoOf } from '#base/errors';

/** One layer as the overlay sees it. */
export interface TreeLayer {
  readonly directory: string;
  /** Names as Latin-1. */
  readonly opaque: readonly string[];
}

/** Where a path of the merged tree really lies. */
export interface Found {
  /** Index into the layers. */
  readonly layer: number;
  /** Without any symlink in it, relative to the layer; Latin-1. */
  readonly path: string;
  readonly stats: Stats;
}

const maxLinks = 40;
const maxParts = 1024;

/**
 * Looks names up in stacked layers as overlayfs would, without a mount: whiteouts, opaque directories, and symlinks that
 * stay inside. Layers never change once they are unpacked, and no step follows a symlink in the kernel, so plain paths
 * cannot lead out. Names are bytes, as Latin-1.
 */
export class MergedTree {
  readonly #layers: readonly { readonly directory: Buffer; readonly opaque: ReadonlySet<string> }[];

  /** @param layers top first */
  constructor(layers: readonly TreeLayer[]) {
    this.#layers = layers.map(({ directory, opaque }) => ({
      directory: Buffer.from(`${directory}/`),
      opaque: new Set(opaque),
    }));
  }

  /** Undefined when nothing is there, or the way leads nowhere. A symlink at the end is followed too. */
  async find(path: string): Promise<Found | undefined> {
    const todo = path.split('/');
    /** The real way so far: each directory with the layers it is merged from, top first. */
    const way: { readonly name: string; readonly layers: readonly number[] }[] = [];
    const root = this.#visible('', this.#layers.keys());
    let links = 0;
    let last: Found | undefined;
    for (let part = todo.shift(); part !== undefined; part = todo.shift()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        way.pop();
        continue;
      }
      const name = [...way.map((step) => step.name), part].join('/');
      const found = await this.#lookUp(name, way.at(-1)?.layers ?? root);
      if (!found) return undefined;
      last = found.top;
      if (last.stats.isSymbolicLink()) {
        const target = await readlink(this.#pathOf(last), 'latin1');
        if (++links > maxLinks || todo.length > maxParts) return undefined;
        if (target.startsWith('/')) way.length = 0;
        todo.unshift(...target.split('/'));
        last = undefined;
      } else if (last.stats.isDirectory()) {
        way.push({ name: part, layers: found.layers });
      } else if (todo.some((rest) => rest !== '' && rest !== '.')) {
        return undefined;
      }
    }
    return last;
  }

  /** What stands at a name whose parent directory comes from `layers`. */
  async #lookUp(
    name: string,
    layers: readonly number[],
  ): Promise<{ readonly top: Found; readonly layers: readonly number[] } | undefined> {
    let top: Found | undefined;
    const merged: number[] = [];
    for (const layer of layers) {
      const stats = await this.#stat(layer, name);
      if (!stats) continue;
      // A whiteout, or anything that is no directory below one, ends the stack.
      if (isWhiteout(stats) || (top && !stats.isDirectory())) break;
      top ??= { layer, path: name, stats };
      merged.push(layer);
      if (!stats.isDirectory() || this.#layers[layer]?.opaque.has(name)) break;
    }
    return top && { top, layers: merged };
  }

  #visible(name: string, layers: Iterable<number>): readonly number[] {
    const visible: number[] = [];
    for (const layer of layers) {
      visible.push(layer);
      if (this.#layers[layer]?.opaque.has(name)) break;
    }
    return visible;
  }

  async #stat(layer: number, path: string): Promise<Stats | undefined> {
    try {
      return await lstat(this.#bytes(layer, path));
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '')) return undefined;
      throw error;
    }
  }

  #pathOf(found: Found): Buffer {
    return this.#bytes(found.layer, found.path);
  }

  #bytes(layer: number, path: string): Buffer {
    return Buffer.concat([this.#layers[layer]?.directory ?? Buffer.alloc(0), Buffer.from(path, 'latin1')]);
  }
}

function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}
