import { request, type Dispatcher } from 'undici';
import { Deadline } from '#base/deadline';
import { BerthError } from '#base/errors';
import { FailedHop } from './network-failure.ts';
import { Setback } from './setback.ts';
import { shownUrl } from './shown-url.ts';
import type { Route, Transport } from './transport.ts';

/** One request before it is sent. */
export interface Outgoing extends Route {
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  /** "manifest of …", for sentences. */
  readonly what: string;
  /** Sent wherever a redirect leads. */
  readonly headers: HeaderMap;
  /** Sent only as long as redirects have not left the URL's origin. */
  readonly secrets: HeaderMap;
  readonly body?: string;
  /** How long the host may be silent before its answer, and within a body that is being read. */
  readonly silentMs: number;
  readonly signal: AbortSignal;
  /** A redirect may lead from TLS to plain HTTP: what comes is compared with a digest that came over TLS. */
  readonly mayLeaveTls?: boolean;
}

export type HeaderMap = Readonly<Record<string, string | readonly string[]>>;

export interface Answer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly body: Dispatcher.ResponseData['body'];
  /** Where it came from in the end. */
  readonly url: URL;
}

const maxRedirects = 5;
/** Answers before the answer (103 Early Hints): each is a sign of life, and a host could send them for ever. */
const maxInterim = 16;
const bodyWatermark = 1024 * 1024;
const userAgent = 'berth';

/**
 * Sends a request and follows its redirects. After the first step to another origin no credential, no header of the owner
 * and no client certificate is sent any more, wherever the next steps lead; a step from TLS to plain HTTP is refused, unless a
 * digest protects what comes.
 *
 * @throws Setback, BerthError, FailedHop
 */
export async function follow(transport: Transport, out: Outgoing): Promise<Answer> {
  let url = out.url;
  let left = false;
  for (let hop = 0; ; hop += 1) {
    const answer = await send(transport, out, url, left);
    if (!isRedirect(answer.status) || out.method !== 'GET') return answer;
    await discard(answer);
    const next = nextUrl(out, url, answer);
    if (hop === maxRedirects) throw refused(out, url, `more than ${maxRedirects} redirects`);
    left ||= next.origin !== out.url.origin;
    url = next;
  }
}

async function send(transport: Transport, out: Outgoing, url: URL, left: boolean): Promise<Answer> {
  const tls = left ? { ...out.tls, clients: [] } : out.tls;
  try {
    return await requested(transport, { ...out, tls }, url, left);
  } catch (error) {
    throw error instanceof BerthError || error instanceof Setback ? error : new FailedHop(url, error);
  }
}

async function requested(transport: Transport, out: Outgoing, url: URL, left: boolean): Promise<Answer> {
  let interim = 0;
  const { statusCode, headers, body } = await request(url, {
    dispatcher: await transport.dispatcher(url, out),
    method: out.method,
    headers: {
      'user-agent': userAgent,
      // What is compressed on the way would have another length and digest.
      'accept-encoding': 'identity',
      ...copy(out.headers),
      ...(left ? {} : copy(out.secrets)),
    },
    body: out.body ?? null,
    signal: out.signal,
    onInfo: () => {
      interim += 1;
      if (interim > maxInterim) throw refused(out, url, `more than ${maxInterim} answers of status 1xx`);
    },
    headersTimeout: out.silentMs,
    bodyTimeout: out.silentMs,
    highWaterMark: bodyWatermark,
  });
  return { status: statusCode, headers, body, url };
}

function nextUrl(out: Outgoing, url: URL, answer: Answer): URL {
  const location = headerOf(answer, 'location');
  let next: URL;
  try {
    next = new URL(location ?? '', url);
  } catch {
    throw refused(out, url, 'a redirect to what is not a URL');
  }
  if (location === undefined) throw refused(out, url, 'a redirect that does not say where');
  if (next.protocol !== 'https:' && next.protocol !== 'http:') throw refused(out, url, 'a redirect that leaves HTTP');
  if (url.protocol === 'https:' && next.protocol === 'http:' && out.mayLeaveTls !== true) {
    throw refused(out, url, `a redirect from TLS to plain HTTP, ${shownUrl(next)}`);
  }
  // undici would send them; a link with a password in it is not ours to use.
  next.username = '';
  next.password = '';
  return next;
}

function refused(out: Outgoing, url: URL, why: string): Setback {
  return new Setback(new BerthError('UNAVAILABLE', `${out.what}: ${shownUrl(url)}: ${why}, which is refused`));
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

function copy(headers: HeaderMap): Record<string, string | string[]> {
  const entries = Object.entries(headers).map(([name, value]): [string, string | string[]] => [
    name,
    typeof value === 'string' ? value : [...value],
  ]);
  return Object.fromEntries(entries);
}

/** One header; of several with that name the first. */
export function headerOf(answer: Pick<Answer, 'headers'>, name: string): string | undefined {
  const value = answer.headers[name];
  return typeof value === 'string' ? value : value?.[0];
}

const discardBytes = 16 * 1024;
const discardMs = 2000;

/** Reads a body that nobody wants, so that its connection can be used again; a long or slow one is cut. */
export async function discard(answer: Pick<Answer, 'body'>): Promise<void> {
  using patience = new Deadline(discardMs, 'reading a body that is not needed');
  try {
    await answer.body.dump({ limit: discardBytes, signal: patience.signal });
  } catch {
    // Cut, or broken: the connection is closed then, which is as good.
  }
}

/** The whole body of an error, as far as it comes soon; undefined if it does not, or is long. */
export async function readSoon(answer: Pick<Answer, 'body'>, limit: number): Promise<Buffer | undefined> {
  using patience = new Deadline(discardMs, 'reading an error');
  patience.signal.addEventListener('abort', () => drop(answer), { once: true });
  try {
    return await readBody(answer, limit);
  } catch {
    // The status says enough.
    return undefined;
  }
}

/** Ends an answer wherever it is; nothing happens to one that has ended. */
export function drop(answer: Pick<Answer, 'body'>): void {
  // A stream that is destroyed early says so by an error, which nobody waits for here.
  answer.body.on('error', () => undefined);
  answer.body.destroy();
}

/** The whole body, or undefined if it is longer than `limit`. */
export async function readBody(answer: Pick<Answer, 'body'>, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    length += chunk.length;
    // Leaving the loop destroys the body.
    if (length > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
