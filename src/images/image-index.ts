import { isBerthError } from '#base/errors';
import type { Image } from './image-store.ts';
import { parseReference, repoDigestOf, repoTagOf } from './reference.ts';
import type { ImageRow } from './rows.ts';

const idPattern = /^(?:sha256:)?([0-9a-f]{64})$/;
const prefixPattern = /^(?:sha256:)?([0-9a-f]{7,63})$/;

/** The images that exist, in memory, by every way of naming them. */
export class ImageIndex {
  readonly #rows = new Map<string, ImageRow>();
  readonly #names = new Map<string, string>();
  #isPinned: (names: readonly string[]) => boolean;
  #list: readonly Image[] | undefined;

  constructor(isPinned: (names: readonly string[]) => boolean = () => false) {
    this.#isPinned = isPinned;
  }

  /** From now on these are pinned. */
  pin(isPinned: (names: readonly string[]) => boolean): void {
    this.#isPinned = isPinned;
    this.#list = undefined;
  }

  get(id: string): ImageRow | undefined {
    return this.#rows.get(id);
  }

  rows(): readonly ImageRow[] {
    return [...this.#rows.values()];
  }

  list(): readonly Image[] {
    this.#list ??= this.rows().map((row) => this.toImage(row));
    return this.#list;
  }

  set(row: ImageRow): void {
    this.delete(row.id);
    this.#rows.set(row.id, row);
    for (const name of [...row.repoTags, ...row.repoDigests]) this.#names.set(name, row.id);
    this.#list = undefined;
  }

  delete(id: string): void {
    const row = this.#rows.get(id);
    if (!row) return;
    this.#rows.delete(id);
    for (const name of [...row.repoTags, ...row.repoDigests]) {
      if (this.#names.get(name) === id) this.#names.delete(name);
    }
    this.#list = undefined;
  }

  /** Who has that full tag or digest. */
  ownerOf(name: string): ImageRow | undefined {
    const id = this.#names.get(name);
    return id === undefined ? undefined : this.#rows.get(id);
  }

  /** By id, name, or a prefix of an id that only one image has. */
  find(reference: string): ImageRow | undefined {
    const id = idPattern.exec(reference)?.[1];
    if (id !== undefined) return this.#rows.get(`sha256:${id}`);
    return this.#findByName(reference) ?? this.#findByPrefix(reference);
  }

  toImage(row: ImageRow): Image {
    const { id, repoTags, repoDigests, size, config, createdAtNs } = row;
    return {
      id,
      repoTags,
      repoDigests,
      size,
      config,
      pinned: this.#isPinned([...repoTags, ...repoDigests]),
      createdAtNs,
    };
  }

  #findByName(reference: string): ImageRow | undefined {
    try {
      const parsed = parseReference(reference);
      const name = repoDigestOf(parsed) ?? repoTagOf(parsed);
      return name === undefined ? undefined : this.ownerOf(name);
    } catch (error) {
      if (isBerthError(error, 'INVALID_ARGUMENT')) return undefined;
      throw error;
    }
  }

  #findByPrefix(reference: string): ImageRow | undefined {
    const prefix = prefixPattern.exec(reference)?.[1];
    if (prefix === undefined) return undefined;
    const matches = this.rows().filter((row) => row.id.startsWith(`sha256:${prefix}`));
    return matches.length === 1 ? matches[0] : undefined;
  }
}
