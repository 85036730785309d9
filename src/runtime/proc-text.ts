import { interfaceLimit, type InterfaceStats, type Traffic } from './stats.ts';

// Readers for two files of /proc. Pure; lines that are not of the form are skipped.

export interface NetDev {
  readonly interfaces: readonly InterfaceStats[];
  /** There are more: no line after the last one that is told of was looked at. */
  readonly more: boolean;
}

/**
 * /proc/<pid>/net/dev: two lines of titles, then for each interface eight numbers received and eight sent. Gives at most
 * `interfaceLimit`: eth0, which is what the kubelet asks about, then the others as the kernel has them. The text may end
 * anywhere.
 */
export function parseNetDev(text: string): NetDev {
  const main = toInterface(/^ *eth0:.*$/m.exec(text)?.[0] ?? '');
  const interfaces = main ? [main] : [];
  for (let at = 0, end = text.indexOf('\n'); end >= 0; at = end + 1, end = text.indexOf('\n', at)) {
    const found = toInterface(text.slice(at, end));
    if (!found || found.name === main?.name) continue;
    if (interfaces.length === interfaceLimit) return { interfaces, more: true };
    interfaces.push(found);
  }
  return { interfaces, more: false };
}

function toInterface(line: string): InterfaceStats | undefined {
  const [, name = '', rest = ''] = /^\s*([^\s:|]+):(.*)$/.exec(line) ?? [];
  const numbers = rest.match(/\d+/g)?.map(BigInt) ?? [];
  if (name === '' || name === 'lo' || numbers.length < 16) return undefined;
  return { name, rx: traffic(numbers, 0), tx: traffic(numbers, 8) };
}

function traffic(numbers: readonly bigint[], at: number): Traffic {
  const [bytes = 0n, packets = 0n, errors = 0n, dropped = 0n] = numbers.slice(at, at + 4);
  return { bytes, packets, errors, dropped };
}

/** The soft limit on open files in /proc/<pid>/limits. */
export function parseMaxOpenFiles(text: string): bigint | undefined {
  const soft = /^Max open files +(\d+) /m.exec(text)?.[1];
  return soft === undefined ? undefined : BigInt(soft);
}
