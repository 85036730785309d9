import { readdir, statfs, unlink } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, toBerthError } from '#base/errors';
import { isId } from '#base/ids';
import { makeDirectories } from '#base/make-directories';
import type { Addon } from '#linux/addon';

export interface NamespaceFilesOptions {
  readonly addon: Pick<Addon, 'bindNetns' | 'detachMount'>;
  readonly directory: string;
}

const prefix = 'berth-';
/** The type of the file system that namespaces are on (linux/magic.h). */
const nsfs = 0x6e736673;
/** `ip netns` may have mounted the directory over itself; each layer is taken away. */
const maxLayers = 8;

/** Files that are the namespaces of pods, where plugins look for them. They keep a namespace when its processes have gone. */
export class NamespaceFiles {
  readonly #options: NamespaceFilesOptions;

  constructor(options: NamespaceFilesOptions) {
    this.#options = options;
  }

  pathOf(podId: string): string {
    return path.join(this.#options.directory, prefix + podId);
  }

  async bind(netnsFd: number, file: string): Promise<void> {
    const { addon, directory } = this.#options;
    try {
      await makeDirectories(directory, 0o755);
      await addon.bindNetns(netnsFd, file);
    } catch (error) {
      throw toBerthError(error, `give a pod's network namespace the file ${file}`);
    }
  }

  /** Missing, or no mount: no error. */
  async remove(file: string): Promise<void> {
    try {
      for (let layer = 0; layer < maxLayers && (await this.#detached(file)); layer++);
      await unlink(file);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw toBerthError(error, `remove the network namespace ${file}`);
    }
  }

  /** Whether a namespace is there: after a reboot it is not. */
  async isThere(file: string): Promise<boolean> {
    try {
      return (await statfs(file)).type === nsfs;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
      throw toBerthError(error, `look at the network namespace ${file}`);
    }
  }

  /** The pods that have a file. */
  async podIds(): Promise<readonly string[]> {
    const { directory } = this.#options;
    try {
      const names = await readdir(directory);
      return names
        .filter((name) => name.startsWith(prefix))
        .map((name) => name.slice(prefix.length))
        .filter(isId);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw toBerthError(error, `read ${directory}`);
    }
  }

  /** False when there was nothing mounted. */
  async #detached(file: string): Promise<boolean> {
    try {
      await this.#options.addon.detachMount(file);
      return true;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EINVAL' || errno === 'ENOENT') return false;
      throw error;
    }
  }
}
