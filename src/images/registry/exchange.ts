import { BerthError } from '#base/errors';
import { parseChallenges } from './challenge.ts';
import type { Login } from './credentials.ts';
import type { Endpoint } from './endpoint.ts';
import { discard, follow, headerOf, readSoon, type Answer, type HeaderMap } from './follow.ts';
import { isLasting, networkCode, retryAfterMs, Setback, statusSetback, toSetback } from './setback.ts';
import { shownUrl } from './shown-url.ts';
import { reasonIn, Tokens, type TokenAsk } from './tokens.ts';
import type { Transport } from './transport.ts';

const maxErrorBytes = 8192;
const maxPlain = 256;

/** One GET below a repository. */
export interface Ask {
  readonly endpoint: Endpoint;
  /** "/manifests/1.2" */
  readonly path: string;
  /** "manifest of host/app:1", for sentences. */
  readonly what: string;
  readonly headers?: HeaderMap;
  readonly login: Login | undefined;
  readonly silentMs: number;
  readonly signal: AbortSignal;
}

/** Requests to registries: who we are, where redirects lead, what a refusal means. */
export class Exchange {
  readonly #transport: Transport;
  readonly #tokens: Tokens;
  /** Origins that were found not to speak TLS though they might have. */
  readonly #plain = new Set<string>();

  constructor(transport: Transport, tokens: Tokens = new Tokens(transport)) {
    this.#transport = transport;
    this.#tokens = tokens;
  }

  /**
   * A successful answer, whose body the caller reads or destroys.
   *
   * @throws Setback, or the reason of the abort
   */
  async get(ask: Ask): Promise<Answer> {
    const { endpoint, signal } = ask;
    signal.throwIfAborted();
    const { origin, fallback } = endpoint;
    if (fallback === undefined) return await this.#getFrom(ask, origin);
    if (this.#plain.has(origin)) {
      try {
        return await this.#getFrom(ask, fallback);
      } catch (error) {
        // It may speak TLS by now.
        if (isBroken(error)) this.#plain.delete(origin);
        throw error;
      }
    }
    try {
      return await this.#getFrom(ask, origin);
    } catch (error) {
      if (signal.aborted || !isBroken(error)) throw error;
      const answer = await this.#getFrom(ask, fallback);
      if (this.#plain.size < maxPlain) this.#plain.add(origin);
      return answer;
    }
  }

  async #getFrom(ask: Ask, origin: string): Promise<Answer> {
    const token: TokenAsk = { ...ask, origin };
    const known = this.#tokens.known(token);
    const first = await this.#send(ask, origin, known);
    if (first.status !== 401 || first.url.origin !== origin) return await accepted(ask, first);
    await discard(first);
    if (known !== undefined) this.#tokens.forget(token, known);
    const header = await this.#headerFor(ask, token, first, known);
    const second = await this.#send(ask, origin, header);
    if (second.status === 401) this.#tokens.forget(token, header);
    return await accepted(ask, second);
  }

  /** An answer to the challenge: that of another call, which was a moment faster, or a new one. */
  async #headerFor(ask: Ask, token: TokenAsk, refused: Answer, sent: string | undefined): Promise<string> {
    const fresh = this.#tokens.known(token);
    if (fresh !== undefined && fresh !== sent) return fresh;
    return await this.#tokens.answer(token, parseChallenges(refused.headers['www-authenticate']), ask.what);
  }

  async #send(ask: Ask, origin: string, authorization: string | undefined): Promise<Answer> {
    const { endpoint, silentMs, signal, what } = ask;
    const url = new URL(`${origin}${endpoint.base}/${endpoint.repository}${ask.path}`);
    if (endpoint.namespace !== undefined) url.searchParams.set('ns', endpoint.namespace);
    try {
      return await follow(this.#transport, {
        ...{ url, method: 'GET', what, silentMs, signal },
        ...{ tls: endpoint.tls, dialMs: endpoint.dialMs, proxy: endpoint.proxy },
        headers: ask.headers ?? {},
        secrets: { ...endpoint.headers, ...(authorization !== undefined && { authorization }) },
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Setback || error instanceof BerthError) throw toSetback(error, what, shownUrl(url));
      const { error: sentence } = toSetback(error, what, shownUrl(url));
      throw new Broken(sentence, !isLasting(error), networkCode(error) ?? '');
    }
  }
}

/** No answer came: the connection failed. */
class Broken extends Setback {
  readonly errno: string;

  constructor(error: BerthError, retry: boolean, errno: string) {
    super(error, retry);
    this.errno = errno;
  }
}

/** It failed as connections fail to hosts that do not speak TLS, or not on this port. */
function isBroken(error: unknown): boolean {
  return error instanceof Broken && /^(EPROTO|ERR_SSL_.*|ECONNRESET|ECONNREFUSED|UND_ERR_SOCKET)$/.test(error.errno);
}

async function accepted(ask: Ask, answer: Answer): Promise<Answer> {
  if (answer.status === 200 || answer.status === 206) return answer;
  throw await refusal(ask, answer);
}

async function refusal(ask: Ask, answer: Answer): Promise<Setback> {
  const { login, what } = ask;
  const { status, url } = answer;
  const bytes = await readSoon(answer, maxErrorBytes);
  return statusSetback({
    ...{ status, what, shown: shownUrl(url), anonymous: login === undefined },
    reason: bytes && reasonIn(bytes),
    waitMs: retryAfterMs(headerOf(answer, 'retry-after')),
  });
}
