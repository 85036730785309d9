import type { Ctx } from '#base/ctx';

/**
 * What a write says, which decides what becomes of it when the disk cannot take it (it is full, or fails):
 *
 * - `intent`: something shall be made. The write fails, memory stays as it was, and nothing is made.
 * - `change`: something was changed that cannot be asked for after a crash. The reserve takes the write; if there is none,
 *   it fails, memory stays as it was, and the caller takes the change back.
 * - `fact`: something has happened, whether or not it can be written: a start, an end, a removal. The write never fails for
 *   the disk. Memory has it at once, the reserve keeps it, and the database gets it as soon as it can.
 */
export type WriteKind = 'intent' | 'change' | 'fact';

/**
 * A kind of record in the store, kept in memory as well: reads never do IO. Writes go to disk first, then to memory.
 * Values are plain JSON data with bigint allowed (stored as decimal strings); records are frozen to the last leaf:
 * change by `put`.
 */
export interface Collection<T> {
  /** The record, from memory. */
  get(id: string): T | undefined;
  /** All records, from memory, in no particular order; safe to hold while the collection changes. */
  values(): readonly T[];
  readonly size: number;
  /** The boot in which the record was last written; another one than the present: written before a reboot. */
  bootId(id: string): string | undefined;
  /** Of a record that a newer berthd wrote, only memory changes: the newer one finds what it left. @param kind default: intent */
  put(ctx: Ctx, id: string, value: T, kind?: WriteKind): Promise<void>;
  /** A fact: what a record stood for is gone when it is deleted. */
  delete(ctx: Ctx, id: string): Promise<void>;
}

/** How a value is written down. `version` is raised with the shape; older versions are migrated. */
export interface RecordSpec<T> {
  readonly version: number;
  /** Checks what came from disk; throws on a shape that cannot be. */
  parse(value: unknown): T;
  /** What the value itself says whose it is. */
  idOf?(value: T): string;
  /** version n → n+1, for records written by older releases. */
  readonly migrations?: Readonly<Record<number, (value: unknown) => unknown>>;
}

/** How a kind is stored. */
export interface CollectionSpec<T> extends RecordSpec<T> {
  /** Key prefix: "pod", "container", "image", "address". */
  readonly kind: string;
  /** true: fsync before put returns (image rows). false: survives kill -9, not power loss. */
  readonly sync: boolean;
}

/** A record that is not used as it is, and why. What could not be read lies under `quarantine/`. */
export interface QuarantinedRecord {
  readonly key: string;
  readonly reason: string;
}

/** Opens collections of one database. */
export interface Store extends AsyncDisposable {
  open<T>(ctx: Ctx, spec: CollectionSpec<T>): Promise<Collection<T>>;
  /** Moved aside now or at an earlier start, until `forget`. */
  readonly quarantined: readonly QuarantinedRecord[];
  /**
   * Records of a newer version, which stay as they are until they are deleted. What this version knows of them is read;
   * one that lacks some of it is in no collection. One that cannot be true stays too, until `forget`.
   */
  readonly newer: readonly QuarantinedRecord[];
  /** Every collection is open: what is left is of no kind that is known here. Nothing can be opened after it. */
  everythingIsOpen(ctx: Ctx): void;
  /** Keys that are damaged, or of a newer berthd: left as they are until `forget`. None before `everythingIsOpen`. */
  readonly unknown: readonly string[];
  /** One line for each broken copy of the database: it had to be repaired or laid aside, and `forget` has not come yet. */
  damages(): Promise<readonly string[]>;
  /** Something is gone with the damaged part of the database. No effect when that was whole at this start. */
  noteLost(ctx: Ctx, what: string): Promise<void>;
  /**
   * The owner has seen it: deletes what was moved aside, newer records that cannot be true, what is of an unknown kind,
   * and the broken copies.
   */
  forget(ctx: Ctx): Promise<void>;
  /** Moves a record aside, or out of use if it is a newer one, that reads well but cannot be true. Unknown id: no error. */
  quarantine(ctx: Ctx, collection: AnyCollection, id: string, reason: string): Promise<void>;
  /** One batch over several collections: all or nothing on disk, then memory. @param kind default: intent */
  transaction(ctx: Ctx, changes: readonly Change[], kind?: WriteKind): Promise<void>;
  /** For who is about to make what ends with an intent, and may take long. @throws what the intent would fail with */
  checkWritable(ctx: Ctx): Promise<void>;
  /** What the database cannot take just now; undefined when it has everything. */
  readonly behind: Behind | undefined;
  /** Ends when everything told so far outlives berthd: at once, unless the reserve is missing or full. */
  whenKept(): Promise<void>;
}

/** The database lags behind memory: it is full, or fails. */
export interface Behind {
  /** Records that wait to be written. */
  readonly records: number;
  /** Of these, the ones that not even the reserve has: a crash would lose them. */
  readonly inMemoryOnly: number;
  readonly sinceMs: number;
  /** Why it could not be written last. */
  readonly because: string;
}

export type AnyCollection = Collection<never> | Collection<unknown>;

export type Change =
  | { readonly op: 'put'; readonly collection: AnyCollection; readonly id: string; readonly value: unknown }
  | { readonly op: 'delete'; readonly collection: AnyCollection; readonly id: string };

const kindPattern = /^[a-z][a-z0-9-]*$/;

/** Kinds are words; "quarantine" belongs to the store. */
export function isKind(kind: string): boolean {
  return kindPattern.test(kind) && kind !== 'quarantine';
}
