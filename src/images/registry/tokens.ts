import { Deadline, raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { Challenge } from './challenge.ts';
import { basicHeader, checkedToken, loginKey, type Login } from './credentials.ts';
import type { Endpoint } from './endpoint.ts';
import { follow, headerOf, readBody, type Answer, type Outgoing } from './follow.ts';
import { retryAfterMs, Setback, statusSetback, toSetback } from './setback.ts';
import { shownUrl } from './shown-url.ts';
import type { Transport } from './transport.ts';

const maxTokens = 512;
const maxAnswer = 256 * 1024;
const maxScope = 1024;
/** A registry that says nothing means a minute; none is believed for longer than an hour. */
const defaultLifeMs = 60_000;
const maxLifeMs = 3_600_000;
/** A token must outlive the request it is sent with. */
const marginMs = 10_000;
const patienceMs = 60_000;
const clientId = 'berth';

export interface TokenAsk {
  readonly endpoint: Endpoint;
  /** The origin that asked: the endpoint's, or its fallback. */
  readonly origin: string;
  readonly login: Login | undefined;
  /** Hosts that the owner lets us speak to in plain HTTP. */
  readonly plainHttp: readonly string[];
  readonly silentMs: number;
  readonly signal: AbortSignal;
}

interface Known {
  readonly header: string;
  readonly expiresAt: number;
}

/** What is sent as Authorization: kept for each host, repository and credential, as long as it is good. */
export class Tokens {
  readonly #transport: Transport;
  readonly #nowMs: () => number;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Known>>();

  constructor(transport: Transport, nowMs: () => number = () => performance.now()) {
    this.#transport = transport;
    this.#nowMs = nowMs;
  }

  /** What may be sent at once. */
  known(ask: TokenAsk): string | undefined {
    if (ask.login?.kind === 'bearer') return `Bearer ${ask.login.token}`;
    const known = this.#known.get(keyOf(ask));
    return known && known.expiresAt > this.#nowMs() ? known.header : undefined;
  }

  /** It was not taken: next time a new one is asked for. */
  forget(ask: TokenAsk, header: string): void {
    const key = keyOf(ask);
    if (this.#known.get(key)?.header === header) this.#known.delete(key);
  }

  /**
   * Answers a host's challenge. Calls that ask for the same at once share one request, which no single one of them can
   * abort.
   *
   * @throws Setback; UNAUTHENTICATED when there is nothing to answer with
   */
  async answer(ask: TokenAsk, challenges: readonly Challenge[], what: string): Promise<string> {
    const key = keyOf(ask);
    let asking = this.#asking.get(key);
    if (!asking) {
      asking = this.#ask(ask, challenges, what)
        .then((known) => this.#remember(key, known))
        .finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    const { header } = await raceSignal(asking, ask.signal);
    return header;
  }

  #remember(key: string, known: Known): Known {
    this.#known.delete(key);
    this.#known.set(key, known);
    for (const oldest of this.#known.keys()) if (this.#known.size > maxTokens) this.#known.delete(oldest);
    return known;
  }

  async #ask(ask: TokenAsk, challenges: readonly Challenge[], what: string): Promise<Known> {
    const { login, endpoint } = ask;
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer && login?.kind !== 'bearer') return await this.#fetch(ask, bearer, what);
    if (challenges.some(({ scheme }) => scheme === 'basic') && login?.kind === 'basic') {
      return { header: basicHeader(login), expiresAt: this.#nowMs() + maxLifeMs };
    }
    const why =
      login === undefined ? 'it wants credentials and none are known for it' : 'it did not take the credentials';
    throw new Setback(new BerthError('UNAUTHENTICATED', `${what}: ${endpoint.host}: ${why}`));
  }

  async #fetch(ask: TokenAsk, challenge: Challenge, what: string): Promise<Known> {
    using patience = new Deadline(patienceMs, 'asking for a token');
    const realm = realmOf(ask, challenge, what);
    const sentence = `${what}: token from`;
    const out = outgoing(ask, challenge, realm, { what: sentence, signal: patience.signal });
    try {
      const answer = await follow(this.#transport, out);
      if (answer.status !== 200) throw await notGiven(answer, ask, sentence);
      return this.#read(await readBody(answer, maxAnswer), `${sentence} ${shownUrl(realm)}`);
    } catch (error) {
      throw toSetback(error, sentence, shownUrl(realm));
    }
  }

  #read(bytes: Buffer | undefined, where: string): Known {
    const fields = parse(bytes);
    const token = fields['token'] || fields['access_token'];
    if (typeof token !== 'string' || token === '') {
      throw new Setback(new BerthError('UNAVAILABLE', `${where}: its answer has no token`), true);
    }
    const seconds = Number(fields['expires_in']);
    const lifeMs = seconds > 0 ? Math.min(seconds * 1000, maxLifeMs) : defaultLifeMs;
    return {
      header: `Bearer ${checkedToken(token, 'registry’s token')}`,
      // One that lives shorter than the margin is good for the request it was fetched for.
      expiresAt: this.#nowMs() + Math.max(0, lifeMs - marginMs),
    };
  }
}

/** Where to ask. TLS is a must, unless the registry itself does without or the owner says so: credentials go there. */
function realmOf(ask: TokenAsk, challenge: Challenge, what: string): URL {
  const { host } = ask.endpoint;
  let realm: URL;
  try {
    realm = new URL(challenge.parameters.get('realm') ?? '');
  } catch {
    throw new Setback(new BerthError('UNAVAILABLE', `${what}: ${host}: it asks for a token but not where to get it`));
  }
  const plainAllowed = ask.origin.startsWith('http:') || ask.plainHttp.includes(realm.host);
  if (realm.protocol !== 'https:' && !(plainAllowed && realm.protocol === 'http:')) {
    const hint = realm.protocol === 'http:' ? `: list ${realm.host} in plain_http to send credentials there` : '';
    const why = `its realm ${shownUrl(realm)} is not https${hint}`;
    throw new Setback(new BerthError('UNAVAILABLE', `${what}: ${host}: ${why}`));
  }
  realm.username = '';
  realm.password = '';
  return realm;
}

function outgoing(
  ask: TokenAsk,
  challenge: Challenge,
  realm: URL,
  rest: { readonly what: string; readonly signal: AbortSignal },
): Outgoing {
  const { endpoint, login, silentMs } = ask;
  const service = challenge.parameters.get('service');
  const asked = challenge.parameters.get('scope') ?? '';
  const scope = asked === '' || asked.length > maxScope ? `repository:${endpoint.repository}:pull` : asked;
  const sameHost = realm.origin === ask.origin;
  const tls = sameHost ? endpoint.tls : { ...endpoint.tls, clients: [] };
  const common = { ...rest, silentMs, tls, dialMs: endpoint.dialMs, proxy: endpoint.proxy };
  if (login?.kind === 'refresh') {
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: login.token, scope });
    form.set('client_id', clientId);
    if (service !== undefined) form.set('service', service);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { ...common, url: realm, method: 'POST', headers, secrets: {}, body: form.toString() };
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope);
  const secrets = login?.kind === 'basic' ? { authorization: basicHeader(login) } : {};
  return { ...common, url, method: 'GET', headers: {}, secrets };
}

async function notGiven(answer: Answer, ask: TokenAsk, what: string): Promise<Setback> {
  const bytes = await readBody(answer, maxAnswer);
  const setback = statusSetback({
    // 400 is how OAuth2 says that a grant is not good.
    status: answer.status === 400 || answer.status === 403 ? 401 : answer.status,
    what,
    shown: shownUrl(answer.url),
    anonymous: ask.login === undefined,
    reason: bytes && reasonIn(bytes),
    waitMs: retryAfterMs(headerOf(answer, 'retry-after')),
  });
  return setback;
}

/** The code of the first error in a registry's answer: "DENIED". Free text of registries is not repeated. */
export function reasonIn(bytes: Uint8Array): string | undefined {
  const { errors } = parse(bytes);
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  const code = typeof first === 'object' && first !== null && 'code' in first ? first.code : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z_]{1,40}$/.test(code) ? code : undefined;
}

function parse(bytes: Uint8Array | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes ?? []).toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

function keyOf({ origin, endpoint, login }: TokenAsk): string {
  return `${origin} ${endpoint.repository} ${loginKey(login)}`;
}
