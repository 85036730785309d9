import { isIP } from 'node:net';
import { BerthError } from '#base/errors';
import { atLeast, isObject, isVersion, type CniVersion } from './conf-list.ts';

/** What a plugin printed, checked as far as Berth uses it; the rest is for the next plugin. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  /** The object itself. */
  readonly value: Readonly<Record<string, unknown>>;
}

export interface CniInterface {
  readonly name: string;
  /** Path of the namespace it is in; "" on the node. */
  readonly sandbox: string;
}

export interface CniIp {
  /** Without prefix length. */
  readonly address: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

/** A result that lists more is none. */
const maxEntries = 1024;

/** @throws NETWORK_FAILED; the sentence continues "it printed " */
export function checkResult(value: unknown): CniResult {
  if (value === undefined) throw lie('no result');
  if (!isObject(value)) throw lie('no JSON object');
  const version = value['cniVersion'];
  if (!isVersion(version)) throw lie(`a result of version ${shown(version)}`);
  const interfaces = entries(value, 'interfaces').map(checkInterface);
  const ips = entries(value, 'ips').map(checkIp);
  return { interfaces, ips, value };
}

/** As the next plugin, or a later call, has to be given it. */
export function resultFor(version: CniVersion, { value, ips }: CniResult): Record<string, unknown> {
  if (ips.length === 0) return { ...value, cniVersion: version };
  const withFamily = !atLeast(version, '1.0.0');
  const converted = (value['ips'] as readonly Record<string, unknown>[]).map((ip, at) => {
    const { version: _family, ...rest } = ip;
    return withFamily ? { version: String(isIP(ips[at]?.address ?? '')), ...rest } : rest;
  });
  return { ...value, cniVersion: version, ips: converted };
}

/** The pod's addresses: those of its interface, in the plugins' order; one that names no interface is the pod's. */
export function podAddresses({ interfaces, ips }: CniResult, name: string): readonly string[] {
  const isPods = ({ interface: index }: CniIp): boolean => {
    if (index === undefined) return true;
    const of = interfaces[index];
    return of !== undefined && of.sandbox !== '' && of.name === name;
  };
  return [...new Set(ips.filter(isPods).map(({ address }) => address))];
}

/** The node's end of the pod's link: plugins list it right before the pod's own; "" when they do not tell. */
export function hostInterface({ interfaces }: CniResult, name: string): string {
  const at = interfaces.findIndex((one) => one.sandbox !== '' && one.name === name);
  const before = at < 0 ? interfaces : interfaces.slice(0, at);
  return before.findLast((one) => one.sandbox === '')?.name ?? '';
}

function checkInterface(value: unknown): CniInterface {
  if (!isObject(value) || typeof value['name'] !== 'string') throw lie('an interface without a name');
  const sandbox = value['sandbox'] ?? '';
  if (typeof sandbox !== 'string') throw lie(`an interface in ${shown(sandbox)}`);
  return { name: value['name'], sandbox };
}

function checkIp(value: unknown): CniIp {
  if (!isObject(value)) throw lie(`${shown(value)} for an address`);
  const { address, interface: index } = value;
  const [ip = '', prefix = '', ...rest] = typeof address === 'string' ? address.split('/') : [];
  const family = isIP(ip);
  const isNetwork = /^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
  if (family === 0 || ip.includes('%') || !isNetwork || rest.length > 0) throw lie(`address ${shown(address)}`);
  if (index === undefined || index === null) return { address: ip };
  if (!Number.isSafeInteger(index)) throw lie(`an address of interface ${shown(index)}`);
  return { address: ip, interface: index as number };
}

function entries(value: Record<string, unknown>, name: string): readonly unknown[] {
  const list = value[name] ?? [];
  if (!Array.isArray(list)) throw lie(`${name} that are not a list`);
  if (list.length > maxEntries) throw lie(`${list.length} ${name}`);
  return list as unknown[];
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}

function lie(what: string): BerthError {
  return new BerthError('NETWORK_FAILED', what);
}
