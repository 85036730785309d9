import { isIP } from 'node:net';
import { atLeast, isObject, type CniVersion } from './conf-list.ts';

// A result has had three forms: one address of each family, in `ip4` and `ip6` (0.1.0, 0.2.0); lists, with the family of
// each address (from 0.3.0 on); lists without (from 1.0.0 on). A plugin reads the one of the version that it is given.

type Json = Readonly<Record<string, unknown>>;

/** Whether results of that version have `ip4` and `ip6`. */
export function isFlat(version: CniVersion): boolean {
  return !atLeast(version, '0.3.0');
}

/** An address with its prefix length; undefined when it is none. */
export function readAddress(value: unknown): { readonly address: string; readonly family: 4 | 6 } | undefined {
  const [address = '', prefix = '', ...rest] = typeof value === 'string' ? value.split('/') : [];
  const family = isIP(address);
  const isPrefix = /^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
  if ((family !== 4 && family !== 6) || address.includes('%') || !isPrefix || rest.length > 0) return undefined;
  return { address, family };
}

/**
 * A checked result in the form of another version, for the next plugin or a later call. What the form has no place for
 * is left out: of `ip4` and `ip6` there is one each, the first.
 */
export function inFormOf(version: CniVersion, value: Json & { readonly cniVersion: CniVersion }): Json {
  const from = value.cniVersion;
  if (isFlat(from) && isFlat(version)) return { ...value, cniVersion: version };
  if (isFlat(version)) return { ...flattened(value), cniVersion: version };
  const listed = isFlat(from) ? unfolded(value) : value;
  const ips = list(listed['ips']).map((ip) => withFamily(ip, !atLeast(version, '1.0.0')));
  return { ...listed, cniVersion: version, ...(ips.length > 0 && { ips }) };
}

function withFamily({ version: _family, ...ip }: Json, wanted: boolean): Json {
  return wanted ? { version: String(readAddress(ip['address'])?.family ?? ''), ...ip } : ip;
}

function unfolded({ ip4, ip6, ...rest }: Json): Json {
  const given = [ip4, ip6].filter(isObject);
  return {
    ...rest,
    ips: given.map(({ ip, gateway }) => ({ address: ip, ...(gateway === undefined ? {} : { gateway }) })),
    routes: given.flatMap(({ routes }) => list(routes)),
  };
}

function flattened({ interfaces: _interfaces, ips, routes, ...rest }: Json): Json {
  const one = (family: 4 | 6): Json | undefined => {
    const found = list(ips).find(({ address }) => readAddress(address)?.family === family);
    if (found === undefined) return undefined;
    const own = list(routes).filter(({ dst }) => readAddress(dst)?.family === family);
    const { address: ip, gateway } = found;
    return { ip, ...(gateway === undefined ? {} : { gateway }), ...(own.length > 0 && { routes: own }) };
  };
  const [ip4, ip6] = [one(4), one(6)];
  return { ...rest, ...(ip4 && { ip4 }), ...(ip6 && { ip6 }) };
}

function list(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** A foreign value for a message. */
export function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}
