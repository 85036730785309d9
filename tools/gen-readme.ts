// Makes the table of UNIMPLEMENTED calls in README.md anew. Run by `npm run gen`; a test compares.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withUnimplemented } from './readme.ts';

const file = path.join(path.dirname(import.meta.dirname), 'README.md');
writeFileSync(file, withUnimplemented(readFileSync(file, 'utf8')));
