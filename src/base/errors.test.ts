import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { errorCodes, type ErrorCode } from './error-codes.ts';
import { BerthError, isBerthError, toBerthError } from './errors.ts';

const documented = /^\| `([A-Z_]+)` \| (user|system) \| (.+) \|$/gm;

test('docs/errors.md lists exactly the codes of error-codes.ts', () => {
  const text = readFileSync(path.join(import.meta.dirname, '../../docs/errors.md'), 'utf8');
  const rows = [...text.matchAll(documented)].map(([, code, side, meaning]) => ({ code, side, meaning }));
  expect(rows).toEqual(Object.entries(errorCodes).map(([code, { side, meaning }]) => ({ code, side, meaning })));
});

describe('toBerthError', () => {
  const cases: readonly (readonly [name: string, error: unknown, code: ErrorCode, message: string])[] = [
    ['a full disk', errno('ENOSPC'), 'RESOURCE_EXHAUSTED', 'write x: ENOSPC'],
    ['any other errno', errno('EIO'), 'KERNEL', 'write x: EIO'],
    ['a code that is no errno', errno('LEVEL_LOCKED'), 'INTERNAL', 'write x: LEVEL_LOCKED'],
    ['something that is no error', 'text', 'INTERNAL', 'write x: text'],
  ];
  test.each(cases)('%s', (_name, error, code, message) => {
    expect(toBerthError(error, 'write x')).toMatchObject({ code, message, cause: error });
  });

  test('a Berth error passes unchanged', () => {
    const error = new BerthError('NOT_FOUND', 'no pod');
    expect(toBerthError(error, 'write x')).toBe(error);
    expect(error.side).toBe('user');
    expect(isBerthError(error, 'NOT_FOUND')).toBe(true);
    expect(isBerthError(error, 'KERNEL')).toBe(false);
  });
});

function errno(code: string): Error {
  return Object.assign(new Error(code), { code });
}
