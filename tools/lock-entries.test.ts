import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { completed, missingPlatformEntries, type Lock } from './lock-entries.ts';

test('package-lock.json has every platform’s packages, or npm ci refuses it (npm run lock)', () => {
  const text = readFileSync(path.join(path.dirname(import.meta.dirname), 'package-lock.json'), 'utf8');
  const lock = JSON.parse(text) as Lock;
  expect(missingPlatformEntries(lock)).toEqual({});
  expect(text).not.toContain('"resolved"');
});

test('a missing package of another platform is added with what its name says', () => {
  const parent = {
    version: '1.0.0',
    dev: true,
    optionalDependencies: { '@x/core-linux-arm64-musl': '1.0.0', fsevents: '^2.0.0' },
  };
  const { packages } = completed({ packages: { 'node_modules/@x/core': parent } });
  expect(packages['node_modules/@x/core-linux-arm64-musl']).toEqual({
    version: '1.0.0',
    cpu: ['arm64'],
    dev: true,
    optional: true,
    os: ['linux'],
  });
  expect(Object.keys(packages)).toHaveLength(2);
});
