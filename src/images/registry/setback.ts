import { BerthError, isBerthError, messageOf } from '#base/errors';
import type { ErrorCode } from '#base/error-codes';

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
  return new Setback(new BerthError('UNAVAILABLE', `${what}: ${shown}: ${networkSentence(error)}`), true);
}

const sentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection broken',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the host name could not be looked up',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'connection timed out',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'no data in time',
  UND_ERR_SOCKET: 'connection broken',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself: configure its ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by an unknown authority: configure its ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by an unknown authority: configure its ca',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate is signed by an unknown authority: configure its ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is signed by an unknown authority: configure its ca',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  EPROTO: 'it does not speak TLS, or not ours',
};

/**
 * What happened to a connection, in words of ours: messages of libraries may quote URLs or headers.
 */
export function networkSentence(error: unknown): string {
  const code = networkCode(error);
  if (code === undefined) return 'the request failed';
  const known = sentences[code] ?? (code.startsWith('ERR_SSL') ? sentences.EPROTO : undefined);
  return known ?? `the request failed (${code})`;
}

/** The most telling code in a chain of causes: that of the socket below what the HTTP client made of it. */
export function networkCode(error: unknown): string | undefined {
  let code: string | undefined;
  let current: unknown = error;
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth += 1) {
    const own: unknown = 'code' in current ? current.code : undefined;
    if (typeof own === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(own)) code = own;
    const list: unknown = 'errors' in current ? current.errors : undefined;
    const first: unknown = Array.isArray(list) ? list[0] : undefined;
    current = first ?? ('cause' in current ? current.cause : undefined);
  }
  return code;
}

/** Certificates and names do not mend by themselves in the seconds a retry waits. */
export function isLasting(error: unknown): boolean {
  const code = networkCode(error) ?? '';
  return /CERT|SIGNATURE|^ENOTFOUND$|ALTNAME/.test(code);
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
