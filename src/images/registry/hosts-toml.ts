import path from 'node:path';
import { BerthError } from '#base/errors';
import type { Endpoint, TlsFiles } from './endpoint.ts';
import { plainTls, portOf, secureFirst } from './endpoint.ts';
import type { OnUnknown } from './owner-files.ts';
import { isTexts, OwnerTable } from './owner-table.ts';
import { parseProxy, proxyForms } from './proxy-rules.ts';

/** One host of a hosts.toml; all but the repository. */
export type HostEntry = Omit<Endpoint, 'repository' | 'namespace' | 'primary'>;

export interface HostsFile {
  /** Mirrors, in the order of the file. */
  readonly hosts: readonly HostEntry[];
  /** Undefined: the registry of the image's name, with `rest`. */
  readonly server: HostEntry | undefined;
  /** What the file says of the registry itself without naming its URL. */
  readonly rest: Omit<HostEntry, 'origin' | 'fallback' | 'host' | 'base'>;
}

type Rest = HostsFile['rest'];

const hostKeys = [
  ...['capabilities', 'ca', 'client', 'skip_verify', 'header', 'override_path', 'dial_timeout'],
  'proxy',
] as const;
const fileKeys = ['server', 'host', ...hostKeys] as const;

/**
 * Reads a hosts.toml: containerd's docs/hosts.md.
 *
 * @param onUnknown is told the keys that mean nothing, which are passed over
 * @throws CONFIG_INVALID
 */
export function parseHostsToml(text: string, file: string, onUnknown: OnUnknown = () => undefined): HostsFile {
  const table = OwnerTable.parse(text, file);
  const rest = restOf(table);
  const server = table.text('server') ?? '';
  const hosts = table.named('host');
  onUnknown([table.unknownKeys(fileKeys), ...hosts.map(([, host]) => host.unknownKeys(hostKeys))].flat());
  return {
    hosts: hosts.map(([name, host]) => entryOf(name, host, restOf(host))),
    server: server === '' ? undefined : entryOf(server, table, rest),
    rest,
  };
}

function entryOf(address: string, table: OwnerTable, rest: Rest): HostEntry {
  let url: URL;
  try {
    url = new URL(/^https?:\/\//.test(address) ? address : `https://${address}`);
  } catch {
    throw new BerthError('CONFIG_INVALID', `${table.file}: ${JSON.stringify(address)} is not the URL of a registry`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new BerthError('CONFIG_INVALID', `${table.file}: the URL of ${url.host} has credentials: use auth_files`);
  }
  const asked = url.pathname.replace(/\/+$/, '');
  const base = table.flag('override_path') === true || asked.endsWith('/v2') ? asked : `${asked}/v2`;
  const tlsSaid = ['ca', 'client', 'skip_verify'].some((key) => table.value(key) !== undefined);
  // TLS settings on an http URL mean "try TLS first"; port 80 leaves no doubt.
  const secure = url.protocol === 'http:' && tlsSaid && portOf(url.host) !== '' ? secureFirst(url.host, true) : {};
  return { ...rest, origin: url.origin, ...secure, host: url.host, base };
}

function restOf(table: OwnerTable): Rest {
  const capabilities = table.texts('capabilities') ?? [];
  const unknown = capabilities.find((name) => !/^(pull|resolve|push)$/i.test(name));
  if (unknown !== undefined) throw table.wrong('capabilities', `made of pull, resolve and push: ${unknown}`);
  const has = (name: string): boolean =>
    capabilities.length === 0 || capabilities.some((one) => one.toLowerCase() === name);
  return {
    canResolve: has('resolve'),
    canPull: has('pull'),
    tls: tlsOf(table),
    headers: headersOf(table),
    dialMs: dialMsOf(table),
    proxy: proxyOf(table),
  };
}

function tlsOf(table: OwnerTable): TlsFiles {
  const directory = path.dirname(table.file);
  const absolute = (name: string): string => path.resolve(directory, name);
  const ca = table.value('ca') ?? [];
  const cas = typeof ca === 'string' ? [ca] : ca;
  if (!isTexts(cas)) throw table.wrong('ca', 'a path or a list of paths');
  const client = table.value('client') ?? [];
  const clients: readonly unknown[] = typeof client === 'string' ? [client] : Array.isArray(client) ? client : [null];
  return {
    ca: cas.map(absolute),
    clients: clients.map((item) => {
      if (typeof item === 'string') return { cert: absolute(item), key: '' };
      const [cert, key, ...more] = isTexts(item) ? item : [];
      if (cert === undefined || key === undefined || more.length > 0) {
        throw table.wrong('client', 'a path, a list of paths or a list of [certificate, key]');
      }
      return { cert: absolute(cert), key: key === '' ? '' : absolute(key) };
    }),
    skipVerify: table.flag('skip_verify') ?? plainTls.skipVerify,
  };
}

function headersOf(table: OwnerTable): Endpoint['headers'] {
  const value = table.value('header') ?? {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw table.wrong('header', 'a table');
  const entries = Object.entries(value).map(([name, said]: [string, unknown]): [string, readonly string[]] => {
    const values = typeof said === 'string' ? [said] : said;
    if (
      !isTexts(values) ||
      !values.every((one) => /^[\t\x20-\x7e]*$/.test(one)) ||
      !/^[\w!#$%&'*+.^`|~-]+$/.test(name)
    ) {
      throw table.wrong(`header.${JSON.stringify(name)}`, 'a header’s value or a list of values');
    }
    return [name.toLowerCase(), values];
  });
  return Object.fromEntries(entries);
}

/** Never shown: it may hold a password. */
function proxyOf(table: OwnerTable): string | undefined {
  const text = table.text('proxy');
  if (text === undefined) return undefined;
  const proxy = parseProxy(text);
  if (proxy) return proxy.href;
  throw table.wrong('proxy', `the URL of a proxy: ${proxyForms}`);
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration as Go writes it: "1s", "1m30s", "1.5s". */
function dialMsOf(table: OwnerTable): number | undefined {
  const text = table.text('dial_timeout');
  if (text === undefined) return undefined;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) throw table.wrong('dial_timeout', 'a duration such as "1s"');
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g);
  const ms = [...parts].reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitMs[unit ?? ''] ?? 0), 0);
  return Math.min(Math.max(1, Math.round(ms)), 0x7fff_ffff);
}
