import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { callPolicies } from './call-policies.ts';
import { answerUnimplemented, unimplemented, type UnimplementedCall } from './unimplemented.ts';

const calls = Object.keys(unimplemented) as UnimplementedCall[];

test('every row names a call of the protocol', () => {
  expect(Object.keys(callPolicies)).toHaveLength(43);
  expect(Object.keys(callPolicies)).toEqual(expect.arrayContaining(calls));
});

test.each(calls)('%s says what to do', (call) => {
  expect(answerUnimplemented(call)).toThrow(
    expect.objectContaining({ code: 'UNIMPLEMENTED', message: `${call} is not implemented: ${unimplemented[call]}` }),
  );
});

test('README.md shows the same table', () => {
  const readme = readFileSync(path.resolve(import.meta.dirname, '../../README.md'), 'utf8');
  const table = /<!-- unimplemented: begin -->\n([^]*)<!-- unimplemented: end -->/.exec(readme)?.[1] ?? '';
  const rows = table
    .split('\n')
    .flatMap((line) => [/^\| ([A-Z]\w+) +\| (.*?) +\|$/.exec(line)])
    .flatMap((match) => (match ? [[match[1], match[2]]] : []));
  expect(Object.fromEntries(rows)).toEqual(unimplemented);
});
