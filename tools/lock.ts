// Makes package-lock.json anew: `npm run lock` after a change of package.json's dependencies.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { completed, type Lock } from './lock-entries.ts';

const top = path.dirname(import.meta.dirname);
const file = path.join(top, 'package-lock.json');
if (!process.argv.includes('--complete')) {
  const flags = ['--package-lock-only', '--ignore-scripts', '--omit-lockfile-registry-resolved'];
  execFileSync('npm', ['install', ...flags], { cwd: top, stdio: 'inherit' });
}
const lock = JSON.parse(readFileSync(file, 'utf8')) as Lock;
writeFileSync(file, `${JSON.stringify(completed(lock), null, 2)}\n`);
