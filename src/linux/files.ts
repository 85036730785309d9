import { rm } from 'node:fs/promises';
import { sleep } from '#base/deadline';
import { toBerthError } from '#base/errors';
import type { Addon, FileOperation, FileResult, TreeUsage } from './addon.ts';

/** Files of a tree that go in one trip: more would keep others waiting behind it. */
const filesInOneTrip = 256;
/** A directory that is busy, or gets new files while it goes, is tried so often without a file removed. */
const patience = 5;
const passing = ['EBUSY', 'ENOTEMPTY', 'EMFILE', 'ENFILE'];

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

  /**
   * Removes a directory and all below it, however many and however deep: by descriptors, because a container can make
   * paths that are longer than any call takes. Missing: no error.
   */
  async removeTree(directory: string): Promise<void> {
    for (let refusals = 0; ;) {
      const [result] = await this.#addon.fileBatch([{ op: 'rmtree', path: directory, limit: filesInOneTrip }]);
      const error = result?.error;
      if (error === undefined || error === 'ENOENT') return;
      if (error === 'E2BIG') continue;
      if (error === 'ENOTDIR') return rm(directory, { force: true });
      if (!passing.includes(error) || ++refusals === patience) {
        throw toBerthError(Object.assign(new Error(`${directory}: ${error}`), { code: error }), `remove ${directory}`);
      }
      await sleep(20 * refusals);
    }
  }
}

function isOptional(operation: FileOperation | undefined, error: string): boolean {
  const optional = operation?.optional ?? false;
  return typeof optional === 'boolean' ? optional : optional.includes(error);
}
