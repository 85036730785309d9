import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { BerthError } from '#base/errors';

/** A proxy and who named it. */
export interface Proxy {
  /** May hold a password: `shownProxy` is for sentences. */
  readonly url: URL;
  /** "HTTPS_PROXY", "hosts.toml". */
  readonly from: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that the environment names for a URL; undefined: none. The rules are those of Go programs
 * (golang.org/x/net/http/httpproxy), so that one environment means the same for everything on a node: each scheme has its
 * own variable, in capitals first, and NO_PROXY has names, addresses, networks and ports.
 *
 * @throws CONFIG_INVALID, without showing the variable
 */
export function proxyFor(url: URL, environment: Environment): Proxy | undefined {
  const upper = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const [from, text] = variable(environment, upper);
  const [, noProxy] = variable(environment, 'NO_PROXY');
  if (text === '' || isExempt(url, noProxy)) return undefined;
  if (upper === 'HTTP_PROXY' && (environment['REQUEST_METHOD'] ?? '') !== '') {
    // In a CGI program a client sets HTTP_PROXY by its header "Proxy": golang.org/s/cgihttpproxy.
    throw new BerthError('CONFIG_INVALID', `${from} is not used beside REQUEST_METHOD, which makes this a CGI program`);
  }
  const proxy = parseProxy(text);
  if (proxy) return { url: proxy, from };
  throw new BerthError('CONFIG_INVALID', `${from} in berthd’s environment is not the URL of a proxy: ${proxyForms}`);
}

/** What `parseProxy` takes, for sentences. */
export const proxyForms = 'use "[http://|https://|socks5://][user:password@]host[:port]"';

/** The URL of a proxy; "http://" may be left out. Undefined for what is none, or of a kind that is not spoken. */
export function parseProxy(text: string): URL | undefined {
  const whole = /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  const fits = url !== undefined && /^(https?|socks5h?):$/.test(url.protocol) && url.hostname !== '';
  return fits && proxyLogin(url) !== null ? url : undefined;
}

/** Who we are to the proxy; undefined: nobody; null: what cannot be read. */
export function proxyLogin(url: URL): { readonly username: string; readonly password: string } | undefined | null {
  if (url.username === '' && url.password === '') return undefined;
  try {
    return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  } catch {
    return null;
  }
}

/** A proxy as errors and logs may show it. */
export function shownProxy({ url, from }: Proxy): string {
  return `the proxy ${url.protocol}//${url.host} (${from})`;
}

function variable(environment: Environment, upper: string): readonly [name: string, text: string] {
  const lower = upper.toLowerCase();
  return (environment[upper] ?? '') === '' ? [lower, environment[lower] ?? ''] : [upper, environment[upper] ?? ''];
}

/** Loopback never needs a proxy, whatever NO_PROXY says. */
const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

type Matcher = (host: string, port: string) => boolean;

function isExempt(url: URL, noProxy: string): boolean {
  const host = bare(url.hostname);
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  if (host === 'localhost' || contains(loopback, host)) return true;
  return noProxy.split(',').some((entry) => matcherOf(entry.trim().toLowerCase())?.(host, port) ?? false);
}

/** One entry of NO_PROXY. Undefined for one that means nothing, as "" and ":80". */
function matcherOf(entry: string): Matcher | undefined {
  if (entry === '*') return () => true;
  const network = networkOf(entry);
  if (network) return (host) => contains(network, host);
  const { host: named, port: wanted } = split(entry);
  if (named === '') return undefined;
  const fits = (port: string): boolean => wanted === '' || wanted === port;
  const family = isIP(named);
  if (family > 0) {
    const list = new BlockList();
    list.addAddress(named, family === 4 ? 'ipv4' : 'ipv6');
    return (host, port) => contains(list, host) && fits(port);
  }
  return domainMatcher(named, fits);
}

/** "a.test" is the name and what is below it; ".a.test" and "*.a.test" only what is below. */
function domainMatcher(named: string, fits: (port: string) => boolean): Matcher {
  const below = named.startsWith('*.') ? named.slice(1) : named;
  const itself = !below.startsWith('.');
  const ascii = domainToASCII(itself ? below : below.slice(1));
  const name = ascii === '' ? below.replace(/^\./, '') : ascii;
  return (host, port) => isIP(host) === 0 && ((itself && host === name) || host.endsWith(`.${name}`)) && fits(port);
}

function networkOf(entry: string): BlockList | undefined {
  const [, address = '', digits = ''] = /^([\d.a-f:]+)\/(\d{1,3})$/.exec(entry) ?? [];
  const family = isIP(address);
  const bits = Number(digits);
  if (family === 0 || bits > (family === 4 ? 32 : 128)) return undefined;
  const list = new BlockList();
  list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  return list;
}

function contains(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family > 0 && list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

/** "host", "host:port", "[address]", "[address]:port", or an address of version 6 as it is. */
function split(entry: string): { readonly host: string; readonly port: string } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(entry);
  const match = bracketed ?? /^([^:]*):([^:]*)$/.exec(entry);
  return { host: match?.[1] ?? entry, port: match?.[2] ?? '' };
}

/** Without the brackets of a URL. */
export function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}
