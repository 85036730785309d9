import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { withUnimplemented } from './readme.ts';

test('README.md lists exactly the calls that are not built', () => {
  const readme = readFileSync(path.join(path.dirname(import.meta.dirname), 'README.md'), 'utf8');
  expect(withUnimplemented(readme)).toBe(readme);
  expect(readme).toContain('| CheckpointPod |');
});
