import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, statfs, symlink } from 'node:fs/promises';
import path from 'node:path';
import { Level } from 'level';
import { BerthError, isBerthError, messageOf } from '#base/errors';
import { freeSpace } from '#base/free-space';
import type { Logger } from '#base/log';
import { hasFormerDatabase, keepDamagedLogs } from './level-files.ts';
import type { Disk, Write } from './records.ts';
import type { StoreDamage } from './store-damage.ts';

const openOptions = { cacheSize: 2 * 1024 * 1024, writeBufferSize: 1024 * 1024 };

interface Waiting {
  readonly batch: readonly Write[];
  readonly sync: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * LevelDB as a Disk. Batches that arrive while one is being written go together in the next: their order holds, and one
 * fsync serves them all.
 */
export class LevelDisk implements Disk {
  /** Undefined: it could not be opened yet, for lack of room. */
  #level: Level | undefined;
  readonly #directory: string;
  readonly #log: Logger;
  readonly #damage: StoreDamage;
  #waiting: Waiting[] = [];
  #pump: Promise<void> | undefined;
  /** It has to be opened anew before anything is written. */
  #suspect: boolean;

  private constructor(level: Level | undefined, directory: string, log: Logger, damage: StoreDamage) {
    this.#level = level;
    this.#suspect = level === undefined;
    this.#directory = directory;
    this.#log = log;
    this.#damage = damage;
  }

  /**
   * Opens or creates the database and reads all of it. What is corrupt is repaired; what cannot be repaired is set aside
   * as `<directory>.broken-<time>`, and the store starts empty. A damaged log is kept in such a place too. LevelDB needs room to open; on a full disk a copy is read,
   * and the database itself is opened by the first write that finds room.
   *
   * @param damage is told of a repair, or where the broken one lies
   * @param scratch directories for that copy, the first that has room
   * @throws STATE_LOCKED, RESOURCE_EXHAUSTED, STATE_CORRUPT, KERNEL
   */
  static async open(
    directory: string,
    log: Logger,
    damage: StoreDamage,
    scratch: readonly string[] = [],
  ): Promise<{ readonly disk: LevelDisk; readonly content: ReadonlyMap<string, string> }> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    try {
      const { level, content } = await openRepaired(directory, log, damage);
      return { disk: new LevelDisk(level, directory, log, damage), content };
    } catch (error) {
      if (!isBerthError(error, 'RESOURCE_EXHAUSTED')) throw error;
      const content = await readCopy(directory, scratch, error);
      log.warn({ directory, err: messageOf(error), records: content.size }, 'the store was read, but cannot be opened');
      return { disk: new LevelDisk(undefined, directory, log, damage), content };
    }
  }

  async write(batch: readonly Write[], sync: boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ batch, sync, resolve, reject });
      this.#pump ??= afterThisTurn().then(() => this.#writeAll());
    });
  }

  async close(): Promise<void> {
    await this.#pump;
    await this.#level?.close();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#writeGroup(
          group.flatMap((waiting) => waiting.batch),
          group.some((waiting) => waiting.sync),
        );
        for (const waiting of group) waiting.resolve();
      } catch (error) {
        for (const waiting of group) waiting.reject(error);
      }
    }
    this.#pump = undefined;
  }

  async #writeGroup(batch: Write[], sync: boolean): Promise<void> {
    try {
      const level = this.#level && !this.#suspect ? this.#level : await this.#openAnew();
      await level.batch(batch, { sync });
    } catch (error) {
      this.#suspect = true;
      throw asBerthError(error, `write to the store in ${this.#directory}`, this.#directory);
    }
  }

  /**
   * A failed write may leave half a record at the end of LevelDB's log, and what follows it would be lost at the next start:
   * opening replays and closes that log.
   */
  async #openAnew(): Promise<Level> {
    await checkRoomToOpen(this.#directory);
    await this.#level?.close();
    await keepDamagedLogs(this.#directory, this.#log, this.#damage);
    // What was there at the start is never to be taken for nothing.
    const options = { ...openOptions, createIfMissing: false };
    const level = (this.#level ??= new Level(this.#directory, options));
    await level.open(options);
    this.#suspect = false;
    this.#log.warn({ directory: this.#directory }, 'store opened anew after it could not be written');
    return level;
  }
}

/** Beside the log, which becomes a table: a manifest, a new log, and what a compaction takes before it gives back. */
const roomToOpen = 512 * 1024;

/** An attempt that cannot succeed costs every caller its time, and leaves half-made files. */
async function checkRoomToOpen(directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const logs = (await readdir(directory)).filter((name) => name.endsWith('.log'));
  const sizes = await Promise.all(logs.map((name) => stat(path.join(directory, name))));
  const needed = sizes.reduce((sum, { size }) => sum + size, roomToOpen);
  const free = bavail * bsize;
  if (free >= needed) return;
  throw new Error(`No space left on device: ${free} bytes are free, ${needed} are needed`);
}

/** The database as a berthd would find it, read from a copy that takes the room of its logs; tables are only linked. */
async function readCopy(
  directory: string,
  scratch: readonly string[],
  cause: BerthError,
): Promise<ReadonlyMap<string, string>> {
  let failure: unknown = cause;
  for (const place of scratch) {
    let copy: string | undefined;
    try {
      copy = await mkdtemp(path.join(place, 'store-'));
      for (const name of await readdir(directory)) {
        const [from, to] = [path.join(directory, name), path.join(copy, name)];
        if (/\.(ldb|sst)$/.test(name)) await symlink(from, to);
        else if (/^(CURRENT|MANIFEST-\d+|\d+\.log)$/.test(name)) await copyFile(from, to);
      }
      return await readAll(copy);
    } catch (error) {
      failure = error;
    } finally {
      if (copy !== undefined) await rm(copy, { recursive: true, force: true });
    }
  }
  throw new BerthError('RESOURCE_EXHAUSTED', `${cause.message}; nor can it be read: ${messageOf(failure)}`, { cause });
}

/** Repaired if need be; never as an empty one that takes the place of what cannot be read. */
async function readAll(copy: string): Promise<ReadonlyMap<string, string>> {
  const read = async (): Promise<ReadonlyMap<string, string>> => {
    const { level, content } = await openAndRead(copy);
    await level.close();
    return content;
  };
  try {
    return await read();
  } catch (error) {
    if (!isCorruption(error)) throw asBerthError(error, `open ${copy}`, copy);
    await repair(copy);
    return await read();
  }
}

async function repair(directory: string): Promise<void> {
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(directory);
}

/** What the same turn of the event loop writes, one call after the other, goes in one batch. */
function afterThisTurn(): Promise<void> {
  return new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)));
}

async function openRepaired(
  directory: string,
  log: Logger,
  damage: StoreDamage,
): Promise<{ level: Level; content: ReadonlyMap<string, string> }> {
  let why: string;
  try {
    await keepDamagedLogs(directory, log, damage);
    return await openAndRead(directory);
  } catch (error) {
    if (!isCorruption(error)) throw asOpenError(error, directory);
    why = textOf(error);
    log.error({ directory, err: messageOf(error) }, 'the store is corrupt; repairing it');
  }
  try {
    await repair(directory);
    const repaired = await openAndRead(directory);
    log.error({ directory, records: repaired.content.size }, 'the store was repaired; the newest records may be gone');
    await damage.repaired(why, repaired.content);
    return repaired;
  } catch (error) {
    // Only damage justifies starting empty: a full disk or a missing permission must not cost the state.
    if (/no space|quota|read-only|permission|denied|too many open/i.test(textOf(error))) {
      throw asOpenError(error, directory);
    }
    const aside = `${directory}.broken-${new Date().toISOString().replaceAll(':', '')}`;
    await rename(directory, aside);
    await mkdir(directory, { mode: 0o700 });
    log.error(
      { directory, aside, err: messageOf(error) },
      'the store could not be repaired; set aside, starting empty',
    );
    await damage.laidAside(aside, textOf(error));
  }
  try {
    return await openAndRead(directory);
  } catch (error) {
    throw asOpenError(error, directory);
  }
}

async function openAndRead(directory: string): Promise<{ level: Level; content: ReadonlyMap<string, string> }> {
  // LevelDB would delete what lies there. Asked before there is a Level, which opens itself in a moment.
  const former = await hasFormerDatabase(directory);
  if (former && !existsSync(path.join(directory, 'CURRENT'))) throw new Error(`no such file: ${directory}/CURRENT`);
  const options = { ...openOptions, createIfMissing: !former };
  const level = new Level(directory, options);
  try {
    await level.open(options);
    const content = new Map<string, string>();
    for await (const [key, value] of level.iterator()) content.set(key, value);
    return { level, content };
  } catch (error) {
    await level.close();
    throw error;
  }
}

/** An error and its causes. By shape, not by class: LevelDB's errors come from native code. */
function chainOf(error: unknown): { code: string; message: string }[] {
  const chain: { code: string; message: string }[] = [];
  let at = error;
  while (typeof at === 'object' && at !== null && chain.length < 5) {
    const { code, message, cause } = at as { code?: unknown; message?: unknown; cause?: unknown };
    chain.push({ code: typeof code === 'string' ? code : '', message: String(message) });
    at = cause;
  }
  return chain;
}

function codesOf(error: unknown): string[] {
  return chainOf(error).map((link) => link.code);
}

/** The deepest cause has the system's own words. */
function textOf(error: unknown): string {
  return chainOf(error).at(-1)?.message ?? messageOf(error);
}

/** LevelDB calls a file that its manifest names and the directory lacks, or that is empty (mmap(2)), an IO error; both are damage. */
function isCorruption(error: unknown): boolean {
  const codes = codesOf(error);
  if (codes.includes('LEVEL_CORRUPTION')) return true;
  return (
    !codes.includes('LEVEL_LOCKED') &&
    /corrupt|no such file|does not exist|invalid argument|is a directory|not a[n]? (sst|database)/i.test(textOf(error))
  );
}

function asOpenError(error: unknown, directory: string): BerthError {
  if (codesOf(error).includes('LEVEL_LOCKED')) {
    return new BerthError('STATE_LOCKED', `another berthd owns ${directory}`, { cause: error });
  }
  return asBerthError(error, `open the store in ${directory}`, directory);
}

function asBerthError(error: unknown, doing: string, directory: string): BerthError {
  const text = textOf(error);
  const message = `${doing}: ${text}`;
  if (/no space left|quota exceeded/i.test(text)) {
    const space = freeSpace(directory);
    const told = space ? `${message} (${space.text})` : message;
    return new BerthError('RESOURCE_EXHAUSTED', told, { cause: error, details: { errno: 'ENOSPC' } });
  }
  if (isCorruption(error)) return new BerthError('STATE_CORRUPT', message, { cause: error });
  return new BerthError('KERNEL', message, { cause: error });
}
