import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { readBounded, UnfitFile } from '#base/bounded-file';
import { BerthError, errnoOf, messageOf } from '#base/errors';

const maxFileBytes = 1024 * 1024;
const maxCached = 512;
const maxShown = 10;

/** Is told the keys of a file that its reader does not know, as they are shown. None: none. */
export type OnUnknown = (keys: readonly string[]) => void;

/** Keys that a file has and nobody knows. */
export interface UnknownKeys {
  readonly file: string;
  /** Another one after each change of the file. */
  readonly mark: string;
  readonly keys: readonly string[];
}

/** A reader of one kind of file that reads a file again only when it has changed. */
export class OwnerFiles<T> {
  readonly #parse: (text: string, file: string, onUnknown: OnUnknown) => T;
  readonly #cache = new Map<string, { readonly mark: string; readonly value: T }>();

  constructor(parse: (text: string, file: string, onUnknown: OnUnknown) => T) {
    this.#parse = parse;
  }

  /**
   * Undefined when there is no such file.
   *
   * @param tell hears of unknown keys of a file that was read anew
   * @throws CONFIG_INVALID for a file that cannot be read or parsed
   */
  async read(file: string, tell: (found: UnknownKeys) => void = () => undefined): Promise<T | undefined> {
    try {
      const { mtimeMs, ctimeMs, size, ino } = await stat(file);
      const mark = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
      const cached = this.#cache.get(file);
      if (cached?.mark === mark) return cached.value;
      const text = (await readBounded(file, maxFileBytes)).toString('utf8');
      const value = this.#parse(text, file, (keys) => {
        if (keys.length > 0) tell({ file, mark, keys });
      });
      this.#cache.delete(file);
      this.#cache.set(file, { mark, value });
      for (const oldest of this.#cache.keys()) if (this.#cache.size > maxCached) this.#cache.delete(oldest);
      return value;
    } catch (error) {
      if (isMissing(error)) return undefined;
      if (error instanceof BerthError) throw error;
      if (error instanceof UnfitFile)
        throw new BerthError('CONFIG_INVALID', `${file} ${error.message}`, { cause: error });
      throw new BerthError('CONFIG_INVALID', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** For a log or a terminal. */
export function sentenceOf({ file, keys }: UnknownKeys): string {
  const more = keys.length > maxShown ? `; and ${keys.length - maxShown} more` : '';
  return `${file}: unknown keys are passed over: ${keys.slice(0, maxShown).join('; ')}${more}`;
}

/** Names with this ending in a directory, in lexical order; undefined when there is no such directory. */
export async function listFiles(directory: string, ...endings: readonly string[]): Promise<string[] | undefined> {
  try {
    const names = await readdir(directory);
    return names
      .filter((name) => !name.startsWith('.') && endings.some((ending) => name.endsWith(ending)))
      .sort()
      .map((name) => path.join(directory, name));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw new BerthError('CONFIG_INVALID', `cannot read ${directory}: ${messageOf(error)}`, { cause: error });
  }
}

function isMissing(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}
