import { isIP } from 'node:net';
import { BerthError } from '#base/errors';

export type Family = 4 | 6;

/** An address as a number, so that ranges are arithmetic. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

export interface Subnet {
  readonly family: Family;
  /** The network address. */
  readonly base: bigint;
  readonly prefix: number;
  /** Canonical CIDR notation. */
  readonly text: string;
}

const bitsOf = { 4: 32, 6: 128 } as const;
const groupMask = 0xffffn;

/** Undefined when the text is no address, or one with a zone ("fe80::1%eth0"). */
export function parseAddress(text: string): Address | undefined {
  const family = isIP(text);
  if (family === 4) return { family, value: joined(text.split('.').map(Number), 8n) };
  if (family !== 6 || text.includes('%')) return undefined;
  // The URL parser turns every spelling, a dotted tail too, into groups of hexadecimal digits.
  const [head = '', tail] = canonical6(text).split('::');
  const before = groups(head);
  const after = groups(tail ?? '');
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  return { family, value: joined([...before, ...zeros, ...after], 16n) };
}

/** ::ffff:a.b.c.d is how programs write a.b.c.d where IPv6 is wanted: no packet has it (RFC 4291, 2.5.5.2). */
export function unmapped({ family, value }: Address): Address {
  const isMapped = family === 6 && value >> 32n === groupMask;
  return isMapped ? { family: 4, value: value & 0xffff_ffffn } : { family, value };
}

export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.');
  const parts: string[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) parts.push(((value >> shift) & groupMask).toString(16));
  return canonical6(parts.join(':'));
}

/**
 * Reads a subnet with room for the network, the bridge and one pod at least. Host bits are cut off.
 *
 * @throws BerthError INVALID_ARGUMENT
 */
export function parseSubnet(text: string): Subnet {
  const [, addressText = '', prefixText = ''] = /^([^/]+)\/([0-9]{1,3})$/.exec(text) ?? [];
  const address = parseAddress(addressText);
  if (address === undefined) {
    throw new BerthError('INVALID_ARGUMENT', `not a subnet: ${JSON.stringify(text)}; expected one like "10.89.0.0/16"`);
  }
  const { family, value } = address;
  const prefix = Number(prefixText);
  const longest = bitsOf[family] - 2;
  if (prefix < 8 || prefix > longest) {
    throw new BerthError('INVALID_ARGUMENT', `subnet ${text} must have a prefix length from 8 to ${longest}`);
  }
  const hostBits = BigInt(bitsOf[family] - prefix);
  const base = (value >> hostBits) << hostBits;
  return { family, base, prefix, text: `${formatAddress({ family, value: base })}/${prefix}` };
}

export function sizeOf({ family, prefix }: Subnet): bigint {
  return 1n << BigInt(bitsOf[family] - prefix);
}

export function contains(subnet: Subnet, { family, value }: Address): boolean {
  return family === subnet.family && value >= subnet.base && value < subnet.base + sizeOf(subnet);
}

/** Without those that lie within another one, and without repetitions. */
export function withoutNested(subnets: readonly Subnet[]): readonly Subnet[] {
  return subnets.filter(
    (one, index) =>
      !subnets.some(
        (other, at) =>
          at !== index &&
          contains(other, { family: one.family, value: one.base }) &&
          (other.prefix < one.prefix || (other.prefix === one.prefix && at < index)),
      ),
  );
}

function canonical6(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

function groups(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

function joined(parts: readonly number[], bits: bigint): bigint {
  return parts.reduce((value, part) => (value << bits) | BigInt(part), 0n);
}
