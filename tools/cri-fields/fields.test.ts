import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CriUnderTest } from './cri-under-test.fixture.ts';
import type { ToldField } from './table.ts';
import { telling } from './table.ts';
import { fieldTests } from './tests/all.fixture.ts';

// `make fields`. Every field of every request that is told to be done: its test passes, and fails when that field is taken
// away between the decoder and everything else.

let cri: CriUnderTest;
beforeAll(async () => {
  cri = await CriUnderTest.start();
});
afterAll(() => cri[Symbol.asyncDispose]());

const testOf = ({ row }: ToldField): string => (row.is === 'done' ? row.test : '');
const done = telling.told.filter(({ row }) => row.is === 'done');
const byTest = Map.groupBy(done, testOf);

/** Why the field's test fails with that field taken away; undefined: it passes. */
async function failure(field: ToldField, dropped?: ToldField): Promise<unknown> {
  cri.dropped = dropped;
  try {
    await fieldTests[testOf(field)]?.(cri, field);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await cri.clear();
  }
}

test('every test that a row names is there, and a row names every test', () => {
  expect([...byTest.keys()].sort()).toEqual(Object.keys(fieldTests).sort());
});

describe.each([...byTest])('%s', (_name, fields) => {
  const byCall = Map.groupBy(fields, ({ call }) => call);

  test.each([...byCall])('%s: passes with every field', async (_call, [field]) => {
    if (!field) throw new Error('no field');
    expect(await failure(field)).toBeUndefined();
  });

  test.each(fields.map((field) => [`${field.call} ${field.path}`, field] as const))(
    'fails without %s',
    async (_field, field) => {
      expect(await failure(field, field)).toBeInstanceOf(Error);
    },
  );
});
