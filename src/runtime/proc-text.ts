import type { InterfaceStats, Traffic } from './stats.ts';

// Readers for two files of /proc. Pure; lines that are not of the form are skipped.

/** /proc/<pid>/net/dev: two lines of titles, then for each interface eight numbers received and eight sent. */
export function parseNetDev(text: string): InterfaceStats[] {
  return text.split('\n').flatMap((line) => {
    const [, name = '', rest = ''] = /^\s*([^\s:|]+):(.*)$/.exec(line) ?? [];
    const numbers = rest.match(/\d+/g)?.map(BigInt) ?? [];
    if (name === '' || name === 'lo' || numbers.length < 16) return [];
    return [{ name, rx: traffic(numbers, 0), tx: traffic(numbers, 8) }];
  });
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
