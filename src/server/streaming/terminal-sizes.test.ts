import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PassThrough } from 'node:stream';
import { TerminalSizeReader, TerminalSizes, type TerminalSize } from './terminal-sizes.ts';

const read = (...chunks: readonly string[]) => {
  const reader = new TerminalSizeReader();
  return chunks.flatMap((chunk) => reader.read(Buffer.from(chunk)));
};

describe('terminal sizes', () => {
  test.each([
    ['one a line', ['{"Width":80,"Height":24}\n']],
    ['without a line end', ['{"Width":80,"Height":24}']],
    ['in pieces', ['{"Wid', 'th":80,"Heig', 'ht":24', '}']],
    ['after nonsense', ['}}nonsense}', '{"Width":80,"Height":24}\n']],
    ['after one that is none', ['{"Width":-1,"Height":70000}{"Width":"80"}', '{"Width":80,"Height":24}']],
    ['after more than a size can be', [`{${'x'.repeat(5000)}`, '{"Width":80,"Height":24}']],
  ])('%s', (_what, chunks) => {
    expect(read(...chunks)).toEqual([{ columns: 80, rows: 24 }]);
  });

  test('several at once', () => {
    expect(read('{"Width":1,"Height":2}\n{"Width":3,"Height":4}\n')).toEqual([
      { columns: 1, rows: 2 },
      { columns: 3, rows: 4 },
    ]);
  });

  test('whatever comes, it neither throws nor grows', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 20 }), (chunks) => {
        const reader = new TerminalSizeReader();
        for (const chunk of chunks) {
          for (const { columns, rows } of reader.read(Buffer.from(chunk))) {
            expect(columns).toBeLessThanOrEqual(65_535);
            expect(rows).toBeLessThanOrEqual(65_535);
          }
        }
      }),
    );
  });
});

test('a client that sends sizes faster than they can be told: one at a time, and the last one', async () => {
  const from = new PassThrough();
  const told: TerminalSize[] = [];
  let gate = Promise.withResolvers<void>();
  const sizes = new TerminalSizes(from);
  sizes.follow(async (size) => {
    told.push(size);
    await gate.promise;
  });
  for (let columns = 1; columns <= 100; columns++) from.emit('data', Buffer.from(`{"Width":${columns},"Height":1}`));
  expect(told).toEqual([{ columns: 1, rows: 1 }]);
  const first = gate;
  gate = Promise.withResolvers();
  first.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(told.slice(1)).toEqual([{ columns: 100, rows: 1 }]);
  gate.reject(new Error('gone'));
  await new Promise((resolve) => setImmediate(resolve));
  from.emit('data', Buffer.from('{"Width":7,"Height":7}'));
  expect(told.at(-1)).toEqual({ columns: 7, rows: 7 });
});
