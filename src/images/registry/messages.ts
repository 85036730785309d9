import { errorCodes, type ErrorCode } from '#base/error-codes';
import { BerthError, isBerthError, messageOf, type ErrorDetails } from '#base/errors';
import type { UnknownKeys } from './owner-files.ts';
import type { BlobDescriptor, RemoteImage } from './registry.ts';
import type { WantedImage } from './resolve-image.ts';
import type { Session } from './source.ts';

// Every sentence that RemoteRegistry and its worker say to each other. A call is named by a number that is never used
// twice; each `resolve` and `fetch` is answered by exactly one `resolved`, `fetched` or `failed`.
//
//   RemoteRegistry                      worker
//     resolve ────────────────────────▶
//     fetch (number of a pipe's fd) ──▶   opens the pipe for itself, writes, closes
//     cancel ─────────────────────────▶   the answer is `failed`
//                      ◀────────────────  progress (now and then), note, unknown-keys
//                      ◀────────────────  resolved | fetched | failed

export type ToWorker =
  | { readonly kind: 'resolve'; readonly call: number; readonly session: Session; readonly wanted: WantedImage }
  | {
      readonly kind: 'fetch';
      readonly call: number;
      readonly session: Session;
      readonly blob: BlobDescriptor;
      /** RemoteRegistry's, which stays open until the answer. */
      readonly fd: number;
    }
  | { readonly kind: 'cancel'; readonly call: number };

export type FromWorker =
  | { readonly kind: 'resolved'; readonly call: number; readonly image: Omit<RemoteImage, 'session'> }
  | { readonly kind: 'fetched'; readonly call: number }
  | { readonly kind: 'failed'; readonly call: number; readonly error: PlainError }
  /** Bytes since the last one. */
  | { readonly kind: 'progress'; readonly call: number; readonly bytes: number }
  | { readonly kind: 'unknown-keys'; readonly call: number; readonly found: UnknownKeys }
  | { readonly kind: 'note'; readonly call: number; readonly message: string; readonly fields: NoteFields };

export type NoteFields = Readonly<Record<string, string | number>>;

/** A BerthError as it goes from thread to thread; the cause stays behind. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

const maxMessage = 2000;

export function toPlainError(error: unknown): PlainError {
  if (isBerthError(error)) {
    return { code: error.code, message: error.message.slice(0, maxMessage), details: error.details };
  }
  return { code: 'INTERNAL', message: `registry worker: ${messageOf(error).slice(0, maxMessage)}`, details: {} };
}

export function fromPlainError({ code, message, details }: PlainError): BerthError {
  return new BerthError(code in errorCodes ? code : 'INTERNAL', message, { details });
}
