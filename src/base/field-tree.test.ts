import { expect, test } from '@jest/globals';
import { KnownFields } from './field-tree.ts';

const known = new KnownFields({ a: null, 'list[]': { b: null, inner: { c: null } }, one: { d: null } });

test.each<[string, unknown, number]>([
  ['nothing', {}, 0],
  ['all that is known', { a: 1, list: [{ b: 1, inner: { c: 1 } }], one: { d: 1 } }, 0],
  ['what a value holds', { a: { x: 1, y: 2 } }, 0],
  ['one at the top, whatever it holds', { x: { y: 1, z: 2 } }, 1],
  ['one in every entry of a list, and below', { list: [{ x: 1 }, { b: 1 }, { inner: { y: 1, z: 1 } }] }, 3],
  ['names of every object', { constructor: 1, __proto__: { toString: 1 }, hasOwnProperty: 1 }, 2],
  ['another spelling', { A: 1 }, 1],
  ['documents in a list', [{ x: 1 }, { a: 1 }, { y: 1 }], 2],
  ['a text where an object belongs', { one: 'text', list: [null, 7, [{ x: 1 }]] }, 0],
  ['null', null, 0],
])('of fields that nobody knows, %s', (_what, document, count) => {
  expect(known.countUnknown(document)).toBe(count);
});

test('names that a reading takes for the same one are the same', () => {
  const folding = new KnownFields(
    { Name: { 'Inner[]': null } },
    { folded: (name) => name.toLowerCase(), fieldsOf: (value) => value as Iterable<[string, unknown]> },
  );
  const inner = [
    ['inner', 1],
    ['INNER', 1],
    ['other', 1],
  ];
  expect(folding.countUnknown([['NAME', inner]])).toBe(0);
  expect(
    folding.countUnknown(
      new Map([
        [
          'NAME',
          new Map([
            ['inner', 1],
            ['other', 1],
          ]),
        ],
      ]),
    ),
  ).toBe(1);
});
