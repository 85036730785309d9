import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { inProse, noLimits } from './limits/no-limits.ts';
import { namedNumbers } from './limits/numbers.ts';
import { configuredNumbers, idIn, keyIn, sections, unitOf, withLimits } from './limits/page.ts';

const top = path.dirname(import.meta.dirname);
const page = readFileSync(path.join(top, 'docs/limits.md'), 'utf8');
const rows = sections.flatMap((section) => section.rows);
const entries = rows.flatMap(({ at }) => at);
const ids = entries.filter((entry) => keyIn(entry) === undefined).map(idIn);
const numbers = namedNumbers();

const matches = (pattern: string, id: string): boolean =>
  pattern.endsWith('*') ? id.startsWith(pattern.slice(0, -1)) : id === pattern;

describe('docs/limits.md', () => {
  test('is what `npm run gen` makes', () => {
    expect(withLimits(page)).toBe(page);
  });

  test('knows every named number of the sources: as a limit, or as none and why', () => {
    const known = [...ids, ...inProse, ...Object.values(noLimits).flat()];
    const unknown = [...numbers.keys()].filter((id) => !known.some((pattern) => matches(pattern, id)));
    expect(unknown).toEqual([]);
  });

  test('lists nothing twice, and nothing that is gone', () => {
    const listed: string[] = [...ids, ...inProse, ...Object.values(noLimits).flat()];
    expect(listed.filter((id, at) => listed.indexOf(id) !== at)).toEqual([]);
    expect(listed.filter((pattern) => ![...numbers.keys()].some((id) => matches(pattern, id)))).toEqual([]);
  });

  test('knows every number of the configuration', () => {
    const known = new Set(entries.flatMap((entry) => keyIn(entry) ?? []));
    expect([...configuredNumbers().keys()].filter((key) => !known.has(key) && !keysOfNoLimit.has(key))).toEqual([]);
    expect([...known].filter((key) => !configuredNumbers().has(key))).toEqual([]);
  });

  test.each([
    ['src/a.ts#answerMs', 'ms'],
    ['native/a.cc#kGiveUpNs', 'ns'],
    ['src/a.ts#mostBytes', 'bytes'],
    ['src/a.ts#read.ms', 'ms'],
    ['src/a.ts#maxItems', undefined],
    ['src/a.ts#ofShim.streams', undefined],
    ['src/a.ts#maxConnections', undefined],
    ['native/a.h#kFilterInstructions', undefined],
  ] as const)('takes the unit from the last word of a name: %s is %s', (id, unit) => {
    expect(unitOf(id, id)).toBe(unit);
  });

  test('says of what cannot be configured why, and names only tests that exist', () => {
    expect(rows.filter(({ at, why }) => why === undefined && !at.some((id) => keyIn(id) !== undefined))).toEqual([]);
    expect(rows.filter(({ test: file }) => file !== undefined && !existsSync(path.join(top, file)))).toEqual([]);
  });
});

/** How large a packet is bounds nobody. */
const keysOfNoLimit = new Set(['network.mtu']);
