import type { Ctx } from '#base/ctx';

/**
 * A kind of record in the store, kept in memory as well: reads never do IO. Writes go to disk first, then to memory.
 * Values are plain JSON data with bigint allowed (stored as decimal strings); records are frozen: change by `put`.
 */
export interface Collection<T> {
  /** The record, from memory. */
  get(id: string): T | undefined;
  /** All records, from memory, in no particular order; safe to hold while the collection changes. */
  values(): readonly T[];
  readonly size: number;
  put(ctx: Ctx, id: string, value: T): Promise<void>;
  delete(ctx: Ctx, id: string): Promise<void>;
}

/** How a kind is stored. `version` is raised with the shape; older versions are migrated, unknown ones quarantined. */
export interface CollectionSpec<T> {
  /** Key prefix: "pod", "container", "image", "address". */
  readonly kind: string;
  readonly version: number;
  /** true: fsync before put returns (image rows). false: survives kill -9, not power loss. */
  readonly sync: boolean;
  /** Checks what came from disk; throws on a shape that cannot be. */
  parse(value: unknown): T;
  /** version n → n+1, for records written by older releases. */
  readonly migrations?: Readonly<Record<number, (value: unknown) => unknown>>;
}

/** What could not be read at start: moved aside under `quarantine/`, logged and counted; start-up went on. */
export interface QuarantinedRecord {
  readonly key: string;
  readonly reason: string;
}

/** Opens collections of one database. */
export interface Store extends AsyncDisposable {
  open<T>(ctx: Ctx, spec: CollectionSpec<T>): Promise<Collection<T>>;
  readonly quarantined: readonly QuarantinedRecord[];
  /** One batch over several collections: all or nothing on disk, then memory. */
  transaction(ctx: Ctx, changes: readonly Change[]): Promise<void>;
}

export type Change =
  | {
      readonly op: 'put';
      readonly collection: Collection<never> | Collection<unknown>;
      readonly id: string;
      readonly value: unknown;
    }
  | { readonly op: 'delete'; readonly collection: Collection<never> | Collection<unknown>; readonly id: string };
