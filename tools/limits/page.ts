import { describeConfig } from '#config/describe';
import { namedNumbers, type NumberId } from './numbers.ts';
import type { LimitRow, Section } from './row.ts';
import { connections } from './rows-clients.ts';
import { images, registries } from './rows-images.ts';
import { node, requests } from './rows-nodes.ts';
import { streams } from './rows-streams.ts';
import { times } from './rows-times.ts';

export const sections: readonly Section[] = [connections, streams, images, registries, requests, node, times];

const begin = '<!-- limits: begin -->\n';
const end = '<!-- limits: end -->\n';

/** docs/limits.md with the tables of what tools/limits lists made anew, numbers and all. */
export function withLimits(page: string): string {
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error('docs/limits.md has lost the markers of its tables');
  return page.slice(0, from + begin.length) + sections.map(table).join('\n') + page.slice(to);
}

/** Keys of the configuration whose value is a number, a time or a size, with their defaults. */
export function configuredNumbers(): Map<string, string> {
  const keys = describeConfig().flatMap(({ group, keys: ofGroup }) =>
    ofGroup
      .filter(({ type, default: value }) => type === 'duration' || typeof value === 'number')
      .map(({ key, default: value }) => [group === '' ? key : `${group}.${key}`, String(value)] as const),
  );
  return new Map(keys);
}

const numbers = namedNumbers();
const configured = configuredNumbers();

function table({ title, rows }: Section): string {
  const lines = rows.map((row) => {
    const { what, met, says, honest } = row;
    return `| ${what} | ${numbersOf(row)} | ${keyOf(row)} | ${met}: ${says} | ${honest} | ${testOf(row)} |`;
  });
  const head = [
    '| what | at most | key | who asks for more | honest clients | tested by |',
    '|---|---|---|---|---|---|',
  ];
  return [`## ${title}`, '', ...head, ...lines, ''].join('\n');
}

function numbersOf({ at, unit, note }: LimitRow): string {
  const shown = at.map((entry) => {
    const key = keyIn(entry);
    if (key !== undefined) return `\`${configured.get(key) ?? '?'}\`${unit === 'MiB' ? ' MiB' : ''}`;
    const id = idIn(entry);
    const value = numbers.get(id);
    return value === undefined ? '?' : show(value, unitOf(entry, id) ?? unit);
  });
  return [shown.join(', '), note].filter(Boolean).join(' ');
}

/** Without what says its unit. */
export const idIn = (entry: string): NumberId => entry.replace(/^(bytes|ms):/, '') as NumberId;

/** As said, or as its name says: `windowMs`, `window.ms`, not "items". */
export function unitOf(entry: string, id: NumberId): string | undefined {
  if (entry !== id) return entry.slice(0, entry.indexOf(':'));
  const [, last, whole] = /(Bytes|Ms|Ns)$|[#._](bytes|ms|ns)$/.exec(id) ?? [];
  return (last ?? whole)?.toLowerCase();
}

function show(value: bigint, unit: string | undefined): string {
  if (unit === 'ms') return value % 1000n === 0n ? `${value / 1000n} s` : `${value} ms`;
  if (unit === 'ns') return `${value / 1_000_000_000n} s`;
  return unit === 'bytes' ? bytes(value) : String(value);
}

function bytes(value: bigint): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let at = 0;
  while (value >= 1024n && value % 1024n === 0n && at < units.length - 1) {
    value /= 1024n;
    at += 1;
  }
  return `${value} ${units[at] ?? ''}`;
}

export const keyIn = (id: string): string | undefined => (id.startsWith('key:') ? id.slice(4) : undefined);

function keyOf({ at, why }: LimitRow): string {
  const keys = at.flatMap((id) => keyIn(id) ?? []).map((key) => `\`${key}\``);
  return [...keys, ...(why === undefined ? [] : [`(${why})`])].join(', ');
}

const testOf = ({ test }: LimitRow): string =>
  test === undefined ? '–' : `[${test.split('/').pop() ?? ''}](../${test})`;
