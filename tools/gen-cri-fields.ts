// Makes docs/cri-fields.md from the table of what becomes of each field. Run by `npm run gen`; a test compares.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fieldDocs } from './cri-fields/docs.ts';

writeFileSync(path.join(path.dirname(import.meta.dirname), 'docs/cri-fields.md'), fieldDocs());
