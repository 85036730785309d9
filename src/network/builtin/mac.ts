import { createHash } from 'node:crypto';
import { parseAddress } from './subnet.ts';

/** Bit 1 of the first byte says "locally administered", bit 0 would say "multicast". */
const prefix = 'be:27';

/**
 * The MAC address of the interface with that IPv4 address. It follows the address, so what neighbours remember stays
 * true when the address goes to another pod. Without IPv4 it is made from `name`.
 */
export function macFor(address: string, name: string): string {
  const parsed = parseAddress(address);
  const tail =
    parsed?.family === 4
      ? parsed.value.toString(16).padStart(8, '0')
      : createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${prefix}:${tail.match(/../g)?.join(':') ?? ''}`;
}
