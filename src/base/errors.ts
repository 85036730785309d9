import { errorCodes, type ErrorCode } from './error-codes.ts';

/** Facts for logs and for the caller: ids, paths, errno. Values are plain so that they can be logged as they are. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

export interface BerthErrorOptions {
  readonly cause?: unknown;
  readonly details?: ErrorDetails;
}

/**
 * The one error class of Berth. `code` is stable; the message is lower case, names the path or id and says what to do.
 */
export class BerthError extends Error {
  override readonly name = 'BerthError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: BerthErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get side(): 'user' | 'system' {
    return errorCodes[this.code].side;
  }
}

export function isBerthError(error: unknown, code?: ErrorCode): error is BerthError {
  return error instanceof BerthError && (code === undefined || error.code === code);
}

/** The errno name (`ENOENT`) of a Node or addon error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The error's sentence, for building another sentence from it. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const full = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE']);

/**
 * Gives an unknown failure a Berth code. A BerthError passes unchanged; a disk, a quota or a table of open files that is
 * full becomes RESOURCE_EXHAUSTED, every other errno KERNEL, anything else INTERNAL.
 *
 * @param doing what was attempted, as in "write /etc/hosts of pod abc"
 */
export function toBerthError(error: unknown, doing: string): BerthError {
  if (error instanceof BerthError) return error;
  const errno = errnoOf(error);
  const message = `${doing}: ${messageOf(error)}`;
  if (errno !== undefined && full.has(errno)) {
    return new BerthError('RESOURCE_EXHAUSTED', message, { cause: error, details: { errno } });
  }
  if (errno !== undefined && /^E[A-Z0-9]+$/.test(errno)) {
    return new BerthError('KERNEL', message, { cause: error, details: { errno } });
  }
  return new BerthError('INTERNAL', message, { cause: error });
}
