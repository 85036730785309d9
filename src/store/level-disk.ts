import { mkdir, rename } from 'node:fs/promises';
import { Level } from 'level';
import { BerthError, messageOf } from '#base/errors';
import type { Logger } from '#base/log';
import type { Disk, Write } from './records.ts';

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
  readonly #level: Level;
  readonly #directory: string;
  readonly #log: Logger;
  #waiting: Waiting[] = [];
  #pump: Promise<void> | undefined;
  #suspect = false;

  private constructor(level: Level, directory: string, log: Logger) {
    this.#level = level;
    this.#directory = directory;
    this.#log = log;
  }

  /**
   * Opens or creates the database and reads all of it. What is corrupt is repaired; what cannot be repaired is set aside
   * as `<directory>.broken-<time>`, and the store starts empty.
   *
   * @throws STATE_LOCKED, RESOURCE_EXHAUSTED, STATE_CORRUPT, KERNEL
   */
  static async open(
    directory: string,
    log: Logger,
  ): Promise<{ readonly disk: LevelDisk; readonly content: ReadonlyMap<string, string> }> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const { level, content } = await openRepaired(directory, log);
    return { disk: new LevelDisk(level, directory, log), content };
  }

  async write(batch: readonly Write[], sync: boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ batch, sync, resolve, reject });
      this.#pump ??= afterThisTurn().then(() => this.#writeAll());
    });
  }

  async close(): Promise<void> {
    await this.#pump;
    await this.#level.close();
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
      // A failed write may leave half a record at the end of LevelDB's log, and what follows it would be lost at the
      // next start: open anew (which replays and closes that log) before anything else is written.
      if (this.#suspect) {
        await this.#level.close();
        await this.#level.open(openOptions);
        this.#suspect = false;
        this.#log.warn({ directory: this.#directory }, 'store opened anew after a failed write');
      }
      await this.#level.batch(batch, { sync });
    } catch (error) {
      this.#suspect = true;
      throw asBerthError(error, `write to the store in ${this.#directory}`);
    }
  }
}

/** What the same turn of the event loop writes, one call after the other, goes in one batch. */
function afterThisTurn(): Promise<void> {
  return new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)));
}

async function openRepaired(
  directory: string,
  log: Logger,
): Promise<{ level: Level; content: ReadonlyMap<string, string> }> {
  try {
    return await openAndRead(directory);
  } catch (error) {
    if (!isCorruption(error)) throw asOpenError(error, directory);
    log.error({ directory, err: messageOf(error) }, 'the store is corrupt; repairing it');
  }
  try {
    await (Level as unknown as { repair(location: string): Promise<void> }).repair(directory);
    const repaired = await openAndRead(directory);
    log.error({ directory, records: repaired.content.size }, 'the store was repaired; the newest records may be gone');
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
  }
  try {
    return await openAndRead(directory);
  } catch (error) {
    throw asOpenError(error, directory);
  }
}

async function openAndRead(directory: string): Promise<{ level: Level; content: ReadonlyMap<string, string> }> {
  const level = new Level(directory, openOptions);
  try {
    await level.open();
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

/** LevelDB calls a file that its manifest names and the directory lacks an IO error; it is damage all the same. */
function isCorruption(error: unknown): boolean {
  const codes = codesOf(error);
  if (codes.includes('LEVEL_CORRUPTION')) return true;
  return (
    !codes.includes('LEVEL_LOCKED') &&
    /corrupt|no such file|does not exist|not a[n]? (sst|database)/i.test(textOf(error))
  );
}

function asOpenError(error: unknown, directory: string): BerthError {
  if (codesOf(error).includes('LEVEL_LOCKED')) {
    return new BerthError('STATE_LOCKED', `another berthd owns ${directory}`, { cause: error });
  }
  return asBerthError(error, `open the store in ${directory}`);
}

function asBerthError(error: unknown, doing: string): BerthError {
  const text = textOf(error);
  const message = `${doing}: ${text}`;
  if (/no space left|quota exceeded/i.test(text)) {
    return new BerthError('RESOURCE_EXHAUSTED', message, { cause: error, details: { errno: 'ENOSPC' } });
  }
  if (isCorruption(error)) return new BerthError('STATE_CORRUPT', message, { cause: error });
  return new BerthError('KERNEL', message, { cause: error });
}
