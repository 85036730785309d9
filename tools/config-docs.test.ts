import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { configDocs } from './config-docs.ts';

test('docs/config.md is what `npm run gen` makes of the schema', () => {
  const file = path.join(path.dirname(import.meta.dirname), 'docs/config.md');
  expect(readFileSync(file, 'utf8')).toBe(configDocs());
});
