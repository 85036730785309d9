import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { BerthError, errnoOf } from '#base/errors';
import { isId } from '#base/ids';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';
import { Files } from '#linux/files';
import type { ExitInfo, Known, PodDocuments } from '#runtime/runtime';
import type { ExitRecord__Output } from './gen/berth/shim/ExitRecord.ts';
import { decodeExitRecord } from './protocol.ts';

export const shimSocket = 'shim.sock';
/** What a shim says of itself. */
export const shimLog = 'shim.log';
const exitsName = 'exits';
const podDocument = 'pod.json';
const moreDocument = 'ready.json';
const suffix = '.json';
/** A request of the kubelet has 16 MiB at most; in base64, and with the spec made from it. */
const documentLimit = 64 * 1024 * 1024;
/** A shim writes little there, and not for long when it has failed. */
const logLimit = 1024 * 1024;
const mostWords = 512;
/** Operations in one trip. */
const readsAtOnce = 256;

/**
 * `<run>/pods/<id>`: where a shim lives. On a tmpfs; gone after a reboot, as the shims are.
 *
 *     shim.sock, shim.log, exits/<container id>   the shim's
 *     pod.json, ready.json, <container id>.json   documents: each is written once, and never again
 */
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

  /** Removes the place of all pods if it is empty: for a daemon that leaves the machine for good. */
  async removeRoot(): Promise<void> {
    try {
      await rmdir(this.#root);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTEMPTY') throw error;
    }
  }

  /**
   * Makes the pod's directory (0700) with its document and its place for exit records. On failure nothing is left.
   *
   * @throws ALREADY_EXISTS for a pod that has one, which stays as it is
   */
  async create(podId: string, document: string): Promise<Fd> {
    const directory = this.pathOf(podId);
    const doing = `create ${directory}`;
    const [made] = await this.#files.run([{ op: 'mkdir', path: directory, mode: 0o700, optional: ['EEXIST'] }], doing);
    if (made?.error !== undefined) throw new BerthError('ALREADY_EXISTS', `pod ${podId} has a directory: ${directory}`);
    try {
      await this.#files.run(
        [
          { op: 'create', path: path.join(directory, podDocument), data: document, mode: 0o600 },
          { op: 'mkdir', path: path.join(directory, exitsName), mode: 0o700 },
        ],
        doing,
      );
      return this.open(podId);
    } catch (error) {
      await this.remove(podId);
      throw error;
    }
  }

  /** What the pod's shim wrote last, in one line; "" when it wrote nothing, or it cannot be read. */
  async lastWords(podId: string): Promise<string> {
    const file = path.join(this.pathOf(podId), shimLog);
    const [read] = await this.#addon.fileBatch([{ op: 'read', path: file, limit: logLimit, optional: true }]);
    const words = (read?.data ?? '').trim().slice(-mostWords);
    return words.replace(/[\s\p{Cc}]+/gu, ' ');
  }

  /** What became known when the pod was whole. */
  addDocument(podId: string, text: string): Promise<void> {
    return this.#write(podId, moreDocument, text);
  }

  writeContainer(podId: string, id: string, text: string): Promise<void> {
    return this.#write(podId, `${id}${suffix}`, text);
  }

  /** Missing: no error. */
  async removeContainer(podId: string, id: string): Promise<void> {
    await rm(path.join(this.pathOf(podId), `${id}${suffix}`), { force: true });
  }

  /** Documents of containers that nobody knows, in the directories of pods that somebody does. */
  async strayDocuments({
    isPod,
    isContainer,
  }: Pick<Known, 'isPod' | 'isContainer'>): Promise<readonly { readonly podId: string; readonly id: string }[]> {
    const ids = (await this.list()).filter(isPod);
    const found = await Promise.all(
      ids.map(async (podId) => {
        const names = await readdir(this.pathOf(podId)).catch(() => []);
        return names
          .filter((name) => name.endsWith(suffix))
          .map((name) => name.slice(0, -suffix.length))
          .filter((id) => isId(id) && !isContainer(id))
          .map((id) => ({ podId, id }));
      }),
    );
    return found.flat();
  }

  /** Of all pods that have a directory. */
  async documents(ctx: Ctx): Promise<ReadonlyMap<string, PodDocuments>> {
    const ids = await this.list();
    return new Map(await Promise.all(ids.map(async (id) => [id, await this.#documentsOf(ctx, id)] as const)));
  }

  async #documentsOf(ctx: Ctx, podId: string): Promise<PodDocuments> {
    const directory = this.pathOf(podId);
    const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith(suffix));
    const texts = new Map<string, string>();
    for (let at = 0; at < names.length; at += readsAtOnce) {
      const some = names.slice(at, at + readsAtOnce);
      const results = await this.#addon.fileBatch(
        some.map((name) => ({ op: 'read', path: path.join(directory, name), limit: documentLimit, optional: true })),
      );
      for (const [index, { data, error }] of results.entries()) {
        const name = some[index] ?? '';
        if (data === undefined) ctx.log.warn({ podId, name, error }, 'document of a pod cannot be read');
        else texts.set(name, data);
      }
    }
    const containers = [...texts]
      .map(([name, text]) => [name.slice(0, -suffix.length), text] as const)
      .filter(([id]) => isId(id));
    return { pod: texts.get(podDocument), more: texts.get(moreDocument), containers: new Map(containers) };
  }

  async #write(podId: string, name: string, data: string): Promise<void> {
    const file = path.join(this.pathOf(podId), name);
    await this.#files.run([{ op: 'create', path: file, data, mode: 0o600 }], `write ${file}`);
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
