// Makes the tables of docs/limits.md anew from tools/limits and the numbers in the sources. Run by `npm run gen`; a test
// compares.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withLimits } from './limits/page.ts';

const file = path.join(path.dirname(import.meta.dirname), 'docs/limits.md');
writeFileSync(file, withLimits(readFileSync(file, 'utf8')));
