import { rm } from 'node:fs/promises';
import { toBerthError } from '#base/errors';
import type { Addon, FileOperation, FileResult, TreeUsage } from './addon.ts';

/**
 * A tree up to this size goes in one trip. Longer ones would keep others waiting behind it: libuv's pool takes them file
 * by file.
 */
const smallTree = 256;

type FilesAddon = Pick<Addon, 'fileBatch' | 'projectUsage' | 'treeUsage'>;

/** The small files of pods and containers: many operations, one trip off the main thread. */
export class Files {
  readonly #addon: FilesAddon;

  constructor(addon: FilesAddon) {
    this.#addon = addon;
  }

  /**
   * Runs the operations in order.
   *
   * @param doing for the error's sentence: "make the writable layer /a/b"
   * @returns a result for each
   * @throws for the first one that failed without being optional
   */
  async run(operations: readonly FileOperation[], doing: string): Promise<readonly FileResult[]> {
    const results = await this.#addon.fileBatch(operations);
    for (const [at, { error }] of results.entries()) {
      if (error === undefined || isOptional(operations[at], error)) continue;
      throw toBerthError(Object.assign(new Error(`${operations[at]?.path}: ${error}`), { code: error }), doing);
    }
    return results;
  }

  /** How much lies in each directory, where the file system keeps books of it; else undefined. */
  projectUsage(directories: readonly string[]): Promise<(TreeUsage | undefined)[]> {
    return this.#addon.projectUsage(directories);
  }

  /** How much lies in a directory, by walking through it at the lowest priority. Throws when it is not there. */
  treeUsage(directory: string, inodeLimit: number): Promise<TreeUsage | undefined> {
    return this.#addon.treeUsage(directory, inodeLimit);
  }

  /** Removes a directory and all below it. Missing: no error. */
  async removeTree(directory: string): Promise<void> {
    const [result] = await this.#addon.fileBatch([{ op: 'rmtree', path: directory, limit: smallTree }]);
    if (result?.error === undefined || result.error === 'ENOENT') return;
    // Too large, busy just now, or no directory at all: the patient way, with its own words for what fails.
    await rm(directory, { recursive: true, force: true });
  }
}

function isOptional(operation: FileOperation | undefined, error: string): boolean {
  const optional = operation?.optional ?? false;
  return typeof optional === 'boolean' ? optional : optional.includes(error);
}
