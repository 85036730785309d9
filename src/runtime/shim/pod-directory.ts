import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { errnoOf, toBerthError } from '#base/errors';
import { isId } from '#base/ids';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';
import { Files } from '#linux/files';
import type { ExitInfo } from '#runtime/runtime';
import type { ExitRecord__Output } from './gen/berth/shim/ExitRecord.ts';
import { decodeExitRecord } from './protocol.ts';

export const shimSocket = 'shim.sock';
const exitsName = 'exits';

/** `<run>/pods/<id>`: where a shim lives. On a tmpfs; gone after a reboot, as the shims are. */
export class PodDirectories {
  readonly #addon: Addon;
  readonly #files: Files;
  readonly #root: string;

  constructor(addon: Addon, root: string) {
    this.#addon = addon;
    this.#files = new Files(addon);
    this.#root = root;
  }

  pathOf(podId: string): string {
    return path.join(this.#root, podId);
  }

  /** Makes the pod's directory (0700) with its place for exit records. */
  async create(podId: string): Promise<Fd> {
    const directory = this.pathOf(podId);
    const results = await this.#addon.batch([
      { op: 'mkdir', path: directory, mode: 0o700 },
      { op: 'mkdir', path: path.join(directory, exitsName), mode: 0o700 },
    ]);
    const failed = results.find((result) => result.error !== undefined);
    if (failed?.error !== undefined) {
      throw toBerthError(Object.assign(new Error(failed.error), { code: failed.error }), `create ${directory}`);
    }
    return this.open(podId);
  }

  /** A handle on the directory: sockets are reached through it, because 64-hex ids overflow a unix path. */
  open(podId: string): Fd {
    return new Fd(this.#addon.openDirectory(this.pathOf(podId)), (fd) => this.#addon.close(fd));
  }

  async remove(podId: string): Promise<void> {
    await this.#files.removeTree(this.pathOf(podId));
  }

  /** Ids of all pods that have a directory. */
  async list(): Promise<readonly string[]> {
    try {
      return (await readdir(this.#root)).filter(isId);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  /** Exit records a shim has left, for the case that it can no longer be asked. A broken one is passed over. */
  async exits(ctx: Ctx, podId: string): Promise<ReadonlyMap<string, ExitInfo>> {
    const directory = path.join(this.pathOf(podId), exitsName);
    const found = new Map<string, ExitInfo>();
    const names = await readdir(directory).catch(() => []);
    for (const name of names.filter(isId)) {
      try {
        found.set(name, toExitInfo(decodeExitRecord(await readFile(path.join(directory, name)))));
      } catch (error) {
        ctx.log.warn({ podId, containerId: name, err: error }, 'exit record cannot be read');
      }
    }
    return found;
  }
}

export function toExitInfo(record: ExitRecord__Output): ExitInfo {
  return {
    exitCode: record.exit_code,
    signal: record.signal,
    oomKilled: record.oom_killed,
    finishedAtNs: BigInt(record.finished_at_ns),
    startedAtNs: BigInt(record.started_at_ns),
  };
}
