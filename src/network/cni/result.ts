import { BerthError } from '#base/errors';
import { isObject, isVersion, type CniVersion } from './conf-list.ts';
import { isFlat, readAddress, shown } from './result-forms.ts';

/** What a plugin printed, checked as far as Berth uses it; the rest is for the next plugin. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  /** The object itself, in the form of the version that it names. */
  readonly value: Readonly<Record<string, unknown>> & { readonly cniVersion: CniVersion };
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

/**
 * @param asked the version that the plugin was given: that of a result that names none
 * @throws NETWORK_FAILED; the sentence continues "it printed "
 */
export function checkResult(value: unknown, asked: CniVersion): CniResult {
  if (value === undefined) throw lie('no result');
  if (!isObject(value)) throw lie('no JSON object');
  const cniVersion = versionOf(value, asked);
  const own = { ...value, cniVersion };
  if (isFlat(cniVersion)) return { interfaces: [], ips: flatIps(value), value: own };
  const interfaces = entries(value, 'interfaces').map(checkInterface);
  const ips = entries(value, 'ips').map(checkIp);
  return { interfaces, ips, value: own };
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

/** As libcni reads it: without a version it has that of the configuration. Its form tells more than that, if it is old. */
function versionOf(value: Record<string, unknown>, asked: CniVersion): CniVersion {
  const version = value['cniVersion'] ?? '';
  if (isVersion(version)) return version;
  if (version !== '') throw lie(`a result of version ${shown(version)}`);
  const old = value['ips'] === undefined && (isObject(value['ip4']) || isObject(value['ip6']));
  return old && !isFlat(asked) ? '0.2.0' : asked;
}

function flatIps(value: Record<string, unknown>): readonly CniIp[] {
  const families = ['ip4', 'ip6'] as const;
  return families.flatMap((name) => {
    const given = value[name] ?? undefined;
    if (given === undefined) return [];
    if (!isObject(given)) throw lie(`${shown(given)} for ${name}`);
    return [{ address: checkAddress(given['ip'], name === 'ip4' ? 4 : 6) }];
  });
}

function checkInterface(value: unknown): CniInterface {
  if (!isObject(value) || typeof value['name'] !== 'string') throw lie('an interface without a name');
  const sandbox = value['sandbox'] ?? '';
  if (typeof sandbox !== 'string') throw lie(`an interface in ${shown(sandbox)}`);
  return { name: value['name'], sandbox };
}

function checkIp(value: unknown): CniIp {
  if (!isObject(value)) throw lie(`${shown(value)} for an address`);
  const address = checkAddress(value['address']);
  const index = value['interface'] ?? undefined;
  if (index === undefined) return { address };
  if (!Number.isSafeInteger(index)) throw lie(`an address of interface ${shown(index)}`);
  return { address, interface: index as number };
}

function checkAddress(value: unknown, family?: 4 | 6): string {
  const found = readAddress(value);
  if (found === undefined || (family !== undefined && found.family !== family)) throw lie(`address ${shown(value)}`);
  return found.address;
}

function entries(value: Record<string, unknown>, name: string): readonly unknown[] {
  const list = value[name] ?? [];
  if (!Array.isArray(list)) throw lie(`${name} that are not a list`);
  if (list.length > maxEntries) throw lie(`${list.length} ${name}`);
  return list as unknown[];
}

function lie(what: string): BerthError {
  return new BerthError('NETWORK_FAILED', what);
}
