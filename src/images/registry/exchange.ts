import { BerthError } from '#base/errors';
import { parseChallenges } from './challenge.ts';
import type { Login } from './credentials.ts';
import type { Endpoint } from './endpoint.ts';
import { discard, follow, headerOf, readSoon, type Answer, type HeaderMap } from './follow.ts';
import { isLasting, speaksNoTls } from './network-failure.ts';
import { retryAfterMs, Setback, statusSetback, toSetback } from './setback.ts';
import { shownUrl } from './shown-url.ts';
import { reasonIn, Tokens, type TokenAsk } from './tokens.ts';
import type { Transport } from './transport.ts';

const maxErrorBytes = 8192;
const maxPlain = 256;
/** Requests for one answer, each with another Authorization than the one before. */
const maxRounds = 6;

/** One GET below a repository. */
export interface Ask {
  readonly endpoint: Endpoint;
  /** "/manifests/1.2" */
  readonly path: string;
  /** "manifest of host/app:1", for sentences. */
  readonly what: string;
  readonly headers?: HeaderMap;
  readonly login: Login | undefined;
  /** The caller compares what comes with a digest that it knows already. */
  readonly byDigest: boolean;
  /** Hosts that the owner lets us speak to in plain HTTP. */
  readonly plainHttp: readonly string[];
  readonly silentMs: number;
  readonly signal: AbortSignal;
}

/** Where a request begins, and who we are there. */
interface Step {
  readonly url: URL;
  readonly token: TokenAsk;
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

  /** The answer of whoever has it, each host's challenge answered once: the registry's, and those of redirects' targets. */
  async #getFrom(ask: Ask, origin: string): Promise<Answer> {
    const answered = new Set<string>();
    let step: Step = { url: urlOf(ask, origin), token: { ...ask, origin } };
    let sent = this.#tokens.known(step.token);
    for (let round = 1; ; round += 1) {
      const answer = await this.#send(ask, step, sent);
      if (answer.status !== 401) return await accepted(ask, step, answer);
      if (answer.url.origin !== step.url.origin) {
        step = elsewhere(ask, answer.url);
        sent = undefined;
      }
      if (sent !== undefined) this.#tokens.forget(step.token, sent);
      if (round === maxRounds || answered.has(step.token.origin)) return await accepted(ask, step, answer);
      await discard(answer);
      const next = await this.#headerFor(ask, step.token, answer, sent);
      if (next.asked) answered.add(step.token.origin);
      sent = next.header;
    }
  }

  /** An answer to the challenge: one that is kept, also of another call that was a moment faster, or a new one. */
  async #headerFor(
    ask: Ask,
    token: TokenAsk,
    refused: Answer,
    sent: string | undefined,
  ): Promise<{ readonly header: string; readonly asked: boolean }> {
    const kept = this.#tokens.known(token);
    if (kept !== undefined && kept !== sent) return { header: kept, asked: false };
    const challenges = parseChallenges(refused.headers['www-authenticate']);
    return { header: await this.#tokens.answer(token, challenges, ask.what), asked: true };
  }

  async #send(ask: Ask, { url, token }: Step, authorization: string | undefined): Promise<Answer> {
    const { silentMs, signal, what, byDigest } = ask;
    const { endpoint } = token;
    try {
      return await follow(this.#transport, {
        ...{ url, method: 'GET', what, silentMs, signal, mayLeaveTls: byDigest },
        ...{ tls: endpoint.tls, dialMs: endpoint.dialMs, proxy: endpoint.proxy },
        headers: ask.headers ?? {},
        secrets: { ...endpoint.headers, ...(authorization !== undefined && { authorization }) },
      });
    } catch (error) {
      signal.throwIfAborted();
      const setback = toSetback(error, what, shownUrl(url));
      if (error instanceof Setback || error instanceof BerthError) throw setback;
      throw new Broken(setback.error, !isLasting(error), speaksNoTls(error));
    }
  }
}

function urlOf({ endpoint, path }: Ask, origin: string): URL {
  const url = new URL(`${origin}${endpoint.base}/${endpoint.repository}${path}`);
  if (endpoint.namespace !== undefined) url.searchParams.set('ns', endpoint.namespace);
  return url;
}

/** Where a redirect led, as a host of its own: nobody there knows us, and what is meant for the registry stays away. */
function elsewhere(ask: Ask, url: URL): Step {
  const { endpoint } = ask;
  const repository = /^\/v2\/(.+)\/(?:blobs|manifests)\/[^/]+$/.exec(url.pathname)?.[1] ?? endpoint.repository;
  const stranger: Endpoint = {
    ...{ ...endpoint, origin: url.origin, fallback: undefined, host: url.host, repository },
    ...{ headers: {}, tls: { ...endpoint.tls, clients: [] } },
  };
  return { url, token: { ...ask, endpoint: stranger, origin: url.origin, login: undefined } };
}

/** No answer came: the connection failed. */
class Broken extends Setback {
  readonly noTls: boolean;

  constructor(error: BerthError, retry: boolean, noTls: boolean) {
    super(error, retry);
    this.noTls = noTls;
  }
}

/** It failed as connections fail to hosts that do not speak TLS, or not on this port. */
function isBroken(error: unknown): boolean {
  return error instanceof Broken && error.noTls;
}

async function accepted(ask: Ask, step: Step, answer: Answer): Promise<Answer> {
  if (answer.status === 200 || answer.status === 206) return answer;
  throw await refusal(ask, step, answer);
}

async function refusal({ what }: Ask, { token }: Step, answer: Answer): Promise<Setback> {
  const { status, url } = answer;
  const bytes = await readSoon(answer, maxErrorBytes);
  return statusSetback({
    ...{ status, what, shown: shownUrl(url), anonymous: token.login === undefined },
    reason: bytes && reasonIn(bytes),
    waitMs: retryAfterMs(headerOf(answer, 'retry-after')),
  });
}
