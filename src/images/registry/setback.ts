import { BerthError, isBerthError, messageOf } from '#base/errors';
import type { ErrorCode } from '#base/error-codes';
import { FailedHop, isLasting, networkSentence } from './network-failure.ts';
import { shownUrl } from './shown-url.ts';

/** One attempt with one host that failed. What follows depends on the two flags. */
export class Setback extends Error {
  override readonly name = 'Setback';
  readonly error: BerthError;
  /** The same host may answer better in a while. */
  readonly retry: boolean;
  /** How long the host wants to be left alone, in milliseconds. */
  readonly waitMs: number;

  constructor(error: BerthError, retry = false, waitMs = 0) {
    super(error.message);
    this.error = error;
    this.retry = retry;
    this.waitMs = waitMs;
  }
}

/** Whatever an attempt ended with. An error of ours is the host's last word; anything else is a broken connection. */
export function toSetback(error: unknown, what: string, shown: string): Setback {
  if (error instanceof Setback) return error;
  if (isBerthError(error)) return new Setback(error);
  const where = error instanceof FailedHop ? shownUrl(error.url) : shown;
  const sentence = `${what}: ${where}: ${networkSentence(error)}`;
  return new Setback(new BerthError('UNAVAILABLE', sentence), !isLasting(error));
}

interface StatusRule {
  readonly code: ErrorCode;
  readonly says: string;
  readonly retry?: boolean;
}

function ruleOf(status: number, anonymous: boolean): StatusRule {
  switch (status) {
    case 401:
      return {
        code: 'UNAUTHENTICATED',
        says: anonymous
          ? 'it wants credentials and none are known for it'
          : 'it did not take the credentials, or they may not pull this image',
      };
    case 403:
      return { code: 'PERMISSION_DENIED', says: 'access denied: the image is private, or not there' };
    case 404:
    case 410:
      return { code: 'NOT_FOUND', says: 'not found' };
    case 408:
      return { code: 'UNAVAILABLE', says: 'it gave up waiting', retry: true };
    case 407:
      return { code: 'UNAVAILABLE', says: 'the proxy wants credentials, or other ones, in its URL' };
    case 429:
      return { code: 'UNAVAILABLE', says: 'it wants fewer requests', retry: true };
    default:
      return status >= 500
        ? { code: 'UNAVAILABLE', says: 'it failed', retry: true }
        : { code: 'UNAVAILABLE', says: 'an answer that was not expected' };
  }
}

/** A status that is no success as an error. `reason`: the registry's own code ("DENIED"), if it named one. */
export function statusSetback(options: {
  readonly status: number;
  readonly what: string;
  readonly shown: string;
  readonly anonymous: boolean;
  readonly reason?: string | undefined;
  readonly waitMs?: number;
}): Setback {
  const { status, what, shown, anonymous, reason, waitMs } = options;
  const rule = ruleOf(status, anonymous);
  const named = reason === undefined ? `status ${status}` : `status ${status}, ${reason}`;
  const denied = status === 401 && reason === 'DENIED' ? ' (a private image, or none of that name)' : '';
  const error = new BerthError(rule.code, `${what}: ${shown}: ${rule.says}${denied} (${named})`, {
    details: { status },
  });
  return new Setback(error, rule.retry ?? false, waitMs ?? 0);
}

const maxRetryAfterMs = 60_000;

/** Milliseconds of a Retry-After header, seconds or a date; 0 for none, never more than a minute. */
export function retryAfterMs(header: string | undefined, nowMs: number = Date.now()): number {
  if (header === undefined) return 0;
  const text = header.trim();
  // Date.parse alone takes nearly anything for a date.
  const date = text.endsWith(' GMT') ? Date.parse(text) : NaN;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : date - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), maxRetryAfterMs) : 0;
}

/** For a note in the log: the sentence alone. */
export function sentenceOf(error: unknown): string {
  return error instanceof Setback ? error.error.message : messageOf(error);
}
