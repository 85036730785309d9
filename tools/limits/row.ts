import type { NumberId } from './numbers.ts';

/** What happens to who asks for more. */
export type Met = 'refused' | 'waits' | 'cut' | 'left out' | 'oldest goes';

/** Why the owner cannot change it. */
export type WhyNoKey =
  /** The kernel's own. */
  | 'kernel'
  /** A protocol's, or what its clients take. */
  | 'protocol'
  /** Another limit rests on it, or it on another. */
  | 'fits'
  /** Bounds memory or work, far beyond honest use. */
  | 'far';

/** A line of docs/limits.md. */
export interface LimitRow {
  readonly what: string;
  /**
   * Where its number is: the page shows that one. Several: they are shown one after another. `key:…` is in the
   * configuration; `bytes:…` and `ms:…` give the unit of one whose name does not say it.
   */
  readonly at: readonly (NumberId | `bytes:${NumberId}` | `ms:${NumberId}` | `key:${string}`)[];
  /** Of all its numbers. */
  readonly unit?: 'bytes' | 'ms' | 'MiB';
  /** Behind the number. */
  readonly note?: string;
  readonly met: Met;
  /** The answer, a code of docs/errors.md for calls. */
  readonly says: string;
  readonly honest: string;
  /** For those without a key. */
  readonly why?: WhyNoKey;
  /** The file that meets it. Without one nobody does: the reason is in `honest`. */
  readonly test?: string;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly LimitRow[];
}
