import { BerthError, isBerthError, messageOf } from '#base/errors';
import type { Logger } from '#base/log';
import type { Behind, WriteKind } from './collection.ts';
import type { Disk, Write } from './records.ts';

/** Keeps writes in room that was taken before the disk was full. Its caller makes one call after the other. */
export interface Reserve {
  /** @param number greater than any before @throws when there is no room in it */
  append(number: number, batch: readonly Write[], sync: boolean): Promise<void>;
  /** The database has what was appended up to this number, or something newer. Never throws. */
  written(upTo: number): Promise<void>;
  close(): Promise<void>;
}

/** Key of the number up to which the database has what was appended: only what comes after it counts. */
export const reserveMark = 'reserve-mark';

export interface PatientDiskOptions {
  readonly disk: Disk;
  readonly reserve?: Reserve | undefined;
  /** Takes the room for one; called while there is none, and every record is written. */
  readonly makeReserve?: (() => Promise<Reserve>) | undefined;
  /** What the reserve has and the database does not have yet, from before this start. */
  readonly kept?: readonly Write[];
  /** The greatest number ever given to an append. */
  readonly lastNumber?: number;
  readonly log: Logger;
  /** Before the first attempt to write what waits; doubled up to `longestRetryMs`. */
  readonly retryMs?: number;
}

const firstRetryMs = 250;
const longestRetryMs = 5_000;

interface Waiting {
  readonly write: Write;
  readonly sync: boolean;
  /** Order of the calls: a newer write of the same key has a greater one. */
  readonly at: number;
  /** The reserve has it. */
  kept: boolean;
}

/**
 * A disk that takes facts also while the one below cannot write: the newest of each record waits, in memory and in the
 * reserve, and goes before anything that is written later. So a later write never loses to an earlier one.
 */
export class PatientDisk {
  readonly #options: PatientDiskOptions;
  readonly #waiting = new Map<string, Waiting>();
  #calls = 0;
  #running = 0;
  /** Which keys calls have written while others were under way. */
  readonly #landed = new Map<string, number>();
  #behind: { readonly since: number; because: string } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retryMs: number;
  /** Of the last append. */
  #number: number;
  #reserve: Reserve | undefined;
  /** Calls of the reserve, one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Something is in memory only. */
  #unkept: PromiseWithResolvers<void> | undefined;

  constructor(options: PatientDiskOptions) {
    this.#options = options;
    this.#retryMs = options.retryMs ?? firstRetryMs;
    this.#reserve = options.reserve;
    this.#number = options.lastNumber ?? 0;
    this.#wait(options.kept ?? [], false, this.#calls++, true);
    if (this.#waiting.size > 0) this.#fallBehind('berthd ended before they could be written');
    else this.#makeReserve();
  }

  get behind(): Behind | undefined {
    if (!this.#behind) return undefined;
    const { since, because } = this.#behind;
    const inMemoryOnly = [...this.#waiting.values()].filter(({ kept }) => !kept).length;
    return { records: this.#waiting.size, inMemoryOnly, sinceMs: performance.now() - since, because };
  }

  async whenKept(): Promise<void> {
    await this.#unkept?.promise;
  }

  /** @throws RESOURCE_EXHAUSTED, and what else the disk below says; never for a fact */
  async write(batch: readonly Write[], sync: boolean, kind: WriteKind): Promise<void> {
    const at = this.#calls++;
    this.#running++;
    try {
      // Where others wait a fact joins them, and the next attempt is for all; who can be refused tries, and takes them along.
      if (kind === 'fact' && this.#behind) await this.#keep(batch, sync, at, kind, this.#behind.because);
      else await this.#attempt(batch, sync, at, kind);
    } finally {
      this.#running--;
      if (this.#running === 0) this.#landed.clear();
    }
  }

  /** Writes what waits. @throws what the disk below says */
  async flush(): Promise<void> {
    if (this.#waiting.size > 0) await this.write([], false, 'intent');
  }

  /** Writes what waits, if it can, and closes everything. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const { log, disk } = this.#options;
    await this.flush().catch((error: unknown) => {
      const { records, inMemoryOnly } = this.behind ?? {};
      log.warn({ err: error, records, inMemoryOnly }, 'berthd ends before every record could be written');
    });
    clearTimeout(this.#timer);
    await this.#turn;
    await disk.close();
    await this.#reserve?.close();
  }

  async #attempt(batch: readonly Write[], sync: boolean, at: number, kind: WriteKind): Promise<void> {
    try {
      await this.#writeThrough(batch, sync, at);
    } catch (error) {
      if (this.#behind) this.#behind.because = messageOf(error);
      if (kind === 'intent') throw refusal(error);
      await this.#keep(batch, sync, at, kind, error);
    }
  }

  async #writeThrough(batch: readonly Write[], sync: boolean, at: number): Promise<void> {
    const { disk } = this.#options;
    const reserve = this.#reserve;
    const first = [...this.#waiting.values()];
    if (first.length === 0) {
      await disk.write(batch, sync);
    } else {
      // Everything appended so far is in here. The database says so itself: a crash may come before the reserve knows.
      const number = this.#number;
      const mark: Write[] = reserve ? [{ type: 'put', key: reserveMark, value: String(number) }] : [];
      const writes = [...first.map(({ write }) => write), ...mark, ...batch];
      await disk.write(writes, sync || first.some((one) => one.sync));
      for (const one of first) if (this.#waiting.get(one.write.key) === one) this.#waiting.delete(one.write.key);
      await this.#inTurn(() => reserve?.written(number));
    }
    for (const { key } of batch) {
      if (this.#running > 1) this.#landed.set(key, Math.max(at, this.#landed.get(key) ?? 0));
      const waiting = this.#waiting.get(key);
      if (waiting && waiting.at < at) this.#waiting.delete(key);
    }
    if (this.#behind && this.#waiting.size === 0) this.#catchUp(this.#behind.since);
  }

  #catchUp(since: number): void {
    const { log, retryMs = firstRetryMs } = this.#options;
    this.#behind = undefined;
    this.#retryMs = retryMs;
    clearTimeout(this.#timer);
    this.#unkept?.resolve();
    this.#unkept = undefined;
    log.info({ seconds: Math.round((performance.now() - since) / 1000) }, 'every record is written again');
    this.#makeReserve();
  }

  #makeReserve(): void {
    const { makeReserve, log } = this.#options;
    if (this.#reserve || !makeReserve) return;
    void this.#inTurn(makeReserve).then(
      (reserve) => (this.#reserve = reserve),
      (error: unknown) => log.warn({ err: error }, 'no room is kept for a full disk; the next start tries again'),
    );
  }

  /** Takes the batch in, to be written later; a change only if the reserve has it. */
  async #keep(batch: readonly Write[], sync: boolean, at: number, kind: WriteKind, cause: unknown): Promise<void> {
    const { log } = this.#options;
    const reserve = this.#reserve;
    const before = batch.flatMap(({ key }) => this.#waiting.get(key) ?? []);
    const waits = (): boolean => batch.some(({ key }) => this.#waiting.get(key)?.at === at);
    this.#wait(batch, sync, at, false);
    if (kind === 'fact') this.#fallBehind(messageOf(cause));
    // Whatever is appended waits from here on: what is written next has it, and may mark it as written.
    const number = ++this.#number;
    try {
      if (!reserve) throw new BerthError('RESOURCE_EXHAUSTED', 'there is no reserve');
      await this.#inTurn(() => reserve.append(number, batch, sync));
      for (const { key } of batch) {
        const waiting = this.#waiting.get(key);
        if (waiting?.at === at) waiting.kept = true;
      }
    } catch (error) {
      log.debug({ err: error }, 'the reserve cannot take a record');
      if (kind === 'change') await this.#lastAttempt(batch, at, before);
      else if (waits()) this.#unkept ??= Promise.withResolvers();
    }
    if (waits()) this.#fallBehind(messageOf(cause));
  }

  /** Either all that waits can be written now, or the change has not been. */
  async #lastAttempt(batch: readonly Write[], at: number, before: readonly Waiting[]): Promise<void> {
    try {
      await this.#writeThrough([], false, this.#calls++);
    } catch (error) {
      const mine = batch.filter(({ key }) => this.#waiting.get(key)?.at === at);
      for (const { key } of mine) this.#waiting.delete(key);
      for (const one of before)
        if (mine.some(({ key }) => key === one.write.key)) this.#waiting.set(one.write.key, one);
      if (mine.length > 0) throw refusal(error);
    }
  }

  #wait(batch: readonly Write[], sync: boolean, at: number, kept: boolean): void {
    for (const write of batch) {
      const { key } = write;
      if ((this.#waiting.get(key)?.at ?? -1) > at || (this.#landed.get(key) ?? -1) > at) continue;
      // Newest last: they are written in the order in which they came.
      this.#waiting.delete(key);
      this.#waiting.set(key, { write, sync, at, kept });
    }
  }

  #fallBehind(because: string): void {
    if (this.#behind || this.#waiting.size === 0) return;
    this.#behind = { since: performance.now(), because };
    const advice =
      'records wait for the disk: make room there; until then nothing new is made, stops and removals go on';
    this.#options.log.warn({ because, records: this.#waiting.size }, advice);
    this.#planRetry();
  }

  #planRetry(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.flush().catch(() => this.#planRetry());
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
  }

  #inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

/** The database as it would be with what the reserve has. */
export function overlay(content: ReadonlyMap<string, string>, kept: readonly Write[]): Map<string, string> {
  const all = new Map(content);
  for (const write of kept) {
    if (write.type === 'put') all.set(write.key, write.value);
    else all.delete(write.key);
  }
  return all;
}

/** What the caller of an intent, or of a change that the reserve has no room for, is told. */
function refusal(cause: unknown): unknown {
  if (cause instanceof Error && !isBerthError(cause, 'RESOURCE_EXHAUSTED')) return cause;
  const message = `${messageOf(cause)}: make room there, or remove pods and images; what exists can be stopped and removed`;
  return new BerthError('RESOURCE_EXHAUSTED', message, { cause, ...detailsOf(cause) });
}

function detailsOf(cause: unknown): Pick<BerthError, 'details'> | undefined {
  return isBerthError(cause) ? { details: cause.details } : undefined;
}
