import { expect, test } from '@jest/globals';
// eslint-disable-next-line no-restricted-imports -- tests may start processes
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freeSpace, fullDiskLines, fullDisks } from './free-space.ts';

test('figures are told with the directory that was asked for', () => {
  expect(freeSpace('/')?.text).toMatch(
    /^[\d.]+ ([kMGT]?B) of [\d.]+ [kMGT]?B are free on the file system of \/(, and|$)/,
  );
});

test('what cannot be looked at is not full', () => {
  expect(freeSpace('/no/such/directory')).toBeUndefined();
  expect(fullDisks(['/no/such/directory'])).toBe('');
});

test('a full disk is a line for its owner, and one with room is none', async () => {
  if (process.getuid?.() !== 0) {
    console.warn('SKIPPED: mounting needs root');
    return;
  }
  const directory = await mkdtemp(path.join(tmpdir(), 'berth-full-'));
  expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', directory]).status).toBe(0);
  try {
    expect(fullDiskLines([directory])).toEqual([]);
    await writeFile(path.join(directory, 'ballast'), Buffer.alloc(2 << 20)).catch(() => undefined);
    const line = expect.stringMatching(
      `^a disk is full: 0 B of 1.0 MB are free on the file system of ${directory}; make`,
    );
    expect(fullDiskLines(['/no/such/directory', directory])).toEqual([line]);
  } finally {
    spawnSync('umount', ['-l', directory]);
    await rm(directory, { recursive: true, force: true });
  }
});
