// Makes docs/config.md from the configuration schema. Run by `npm run gen`; a test compares.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { configDocs } from './config-docs.ts';
import { configSample } from './config-sample.ts';

writeFileSync(path.join(path.dirname(import.meta.dirname), 'docs/config.md'), configDocs());
writeFileSync(path.join(path.dirname(import.meta.dirname), 'deploy/config.toml'), configSample());
