import { expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadAddon } from './load.ts';
import { findHolder, lockDirectory } from './lock-directory.ts';

test('who comes second is told the process that has the directory, and what to do', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-lock-'));
  const addon = loadAddon();
  try {
    using _held = lockDirectory(addon, directory);
    expect(() => lockDirectory(addon, directory)).toThrow(
      expect.objectContaining({
        code: 'STATE_LOCKED',
        message: expect.stringContaining(`another berthd (pid ${process.pid}) owns ${directory}: end that one first`),
      }),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('of all locks only a whole one of that file counts, of a process that can be seen', () => {
  const locks = `1: POSIX  ADVISORY  WRITE 11 fe:01:77 0 EOF
2: FLOCK  ADVISORY  READ 12 fe:01:77 0 EOF
3: FLOCK  ADVISORY  WRITE 0 fe:01:77 0 EOF
4: FLOCK  ADVISORY  WRITE 13 fe:01:777 0 EOF
4: -> FLOCK  ADVISORY  WRITE 14 fe:01:77 0 EOF
5: FLOCK  ADVISORY  WRITE 15 00:2a:77 0 EOF
`;
  expect(findHolder(locks, 77n)).toBe(15);
  expect(findHolder(locks, 78n)).toBeUndefined();
  expect(findHolder('', 77n)).toBeUndefined();
});
