import { BerthError } from '#base/errors';
import type { Addon, FileOperation } from '#linux/addon';

type Files = Pick<Addon, 'batch'>;

const forward4 = '/proc/sys/net/ipv4/ip_forward';
const conf6 = '/proc/sys/net/ipv6/conf';
const forward6 = `${conf6}/all/forwarding`;
const valueLimit = 4096;
const tableLimit = 8 * 1024 * 1024;

/** Whether this kernel has IPv6. */
export async function hasIpv6(files: Files): Promise<boolean> {
  return (await readAll(files, [forward6]))[0] !== undefined;
}

/**
 * Makes the machine a router. What is already so is not written: a write resets other settings.
 *
 * A router ignores router advertisements, so that a machine that has its own default route from one would lose it;
 * interfaces that listened before go on listening (accept_ra 2).
 */
export async function enableForwarding(files: Files, ipv6: boolean): Promise<void> {
  const [value4, value6] = await readAll(files, [forward4, forward6]);
  const writes: FileOperation[] = [];
  if (value4 === '0') writes.push(write(forward4, '1'));
  if (ipv6 && value6 === '0') {
    const names = await listenersToAdvertisements(files);
    writes.push(...names.map((name) => write(`${conf6}/${name}/accept_ra`, '2')), write(forward6, '1'));
  }
  await writeAll(files, writes);
}

/** Before its addresses are set: IPv6 on, no router but us, and no second of waiting whether an address is ours. */
export async function tuneBridge(files: Files, bridge: string): Promise<void> {
  await writeAll(files, [
    write(`${conf6}/${bridge}/disable_ipv6`, '0'),
    write(`${conf6}/${bridge}/accept_ra`, '0'),
    write(`${conf6}/${bridge}/accept_dad`, '0'),
  ]);
}

/** Lets packets from 127.0.0.0/8 of the node out to pods, and their answers in. The nftables table guards it. */
export async function routeLocalnet(files: Files, bridge: string): Promise<void> {
  await writeAll(files, [write(`/proc/sys/net/ipv4/conf/${bridge}/route_localnet`, '1')]);
}

/** The MTU of the interface of the default route; undefined where there is none. */
export async function defaultRouteMtu(files: Files): Promise<number | undefined> {
  const [routes4 = '', routes6 = ''] = await readAll(files, ['/proc/net/route', '/proc/net/ipv6_route'], tableLimit);
  const name = interfaceOfDefault4(routes4) ?? interfaceOfDefault6(routes6);
  if (name === undefined) return undefined;
  // The first is right in every network namespace, the second also where IPv6 is off.
  const values = await readAll(files, [`${conf6}/${name}/mtu`, `/sys/class/net/${name}/mtu`]);
  const mtu = Number(values.find((value) => value !== undefined));
  return Number.isInteger(mtu) && mtu >= 576 && mtu <= 65_535 ? mtu : undefined;
}

/** Columns: interface, destination, gateway, flags, references, uses, metric, mask. */
function interfaceOfDefault4(table: string): string | undefined {
  const routes = rows(table).filter(([, destination, , , , , , mask]) => Number(`0x${destination}${mask}`) === 0);
  return routes.toSorted((left, right) => Number(left[6]) - Number(right[6]))[0]?.[0];
}

/** Columns: destination, its prefix length, source, its prefix length, next hop, metric, …, flags, interface. */
function interfaceOfDefault6(table: string): string | undefined {
  return rows(table).find(
    ([destination, prefix, , , hop, , , , , name]) =>
      /^0+$/.test(destination ?? '') && prefix === '00' && !/^0+$/.test(hop ?? '') && name !== 'lo',
  )?.[9];
}

function rows(table: string): readonly string[][] {
  return table.split('\n').map((line) => line.trim().split(/\s+/));
}

async function listenersToAdvertisements(files: Files): Promise<readonly string[]> {
  const [list] = await files.batch([{ op: 'list', path: conf6, limit: tableLimit }]);
  const names = (list?.data ?? '').split('\n').filter((name) => !['', 'all', 'default', 'lo'].includes(name));
  const values = await readAll(
    files,
    names.map((name) => `${conf6}/${name}/accept_ra`),
  );
  return names.filter((_name, index) => values[index] === '1');
}

function write(path: string, data: string): FileOperation {
  return { op: 'write', path, data };
}

async function writeAll(files: Files, writes: readonly FileOperation[]): Promise<void> {
  const results = await files.batch(writes);
  for (const [index, { error }] of results.entries()) {
    const path = writes[index]?.path ?? '';
    if (error === undefined) continue;
    throw new BerthError('KERNEL', `cannot set ${path}: ${error}`, { details: { path, errno: error } });
  }
}

/** Undefined for what cannot be read. */
async function readAll(
  files: Files,
  paths: readonly string[],
  limit = valueLimit,
): Promise<readonly (string | undefined)[]> {
  const results = await files.batch(paths.map((path) => ({ op: 'read', path, limit, optional: true })));
  return results.map((result) => result.data?.trim());
}
