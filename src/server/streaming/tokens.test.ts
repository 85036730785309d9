import { describe, expect, test } from '@jest/globals';
import { systemClock } from '#base/clock';
import { TokenTable } from './tokens.ts';

function tableAt(start = 0) {
  const time = { ms: start };
  const clock = { ...systemClock, monotonicMs: () => time.ms };
  return { time, table: new TokenTable<string>({ ttlMs: 1000, limit: 3, clock }) };
}

describe('tokens', () => {
  test('work once', () => {
    const { table } = tableAt();
    const token = table.add('a');
    expect(table.take(token)).toBe('a');
    expect(table.take(token)).toBeUndefined();
    expect(table.size).toBe(0);
  });

  test('are long, and never the same', () => {
    const { table } = tableAt();
    const tokens = Array.from({ length: 3 }, () => table.add('a'));
    expect(new Set(tokens).size).toBe(3);
    for (const token of tokens) expect(token).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });

  test('expire, and make room by that', () => {
    const { table, time } = tableAt();
    const old = table.add('a');
    time.ms = 500;
    const young = [table.add('b'), table.add('c')];
    expect(() => table.add('d')).toThrow(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED' }));
    time.ms = 1000;
    expect(table.add('d')).not.toBe('');
    expect(table.take(old)).toBeUndefined();
    expect(young.map((token) => table.take(token))).toEqual(['b', 'c']);
  });

  test('those never given are unknown', () => {
    const { table } = tableAt();
    expect(table.take('')).toBeUndefined();
    expect(table.take('constructor')).toBeUndefined();
  });
});
