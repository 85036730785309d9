import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeDirectories } from './make-directories.ts';

let top: string;
beforeEach(async () => {
  top = await mkdtemp(path.join(tmpdir(), 'berth-make-'));
});
afterEach(() => rm(top, { recursive: true }));

test('makes what is missing, and takes what is there', async () => {
  const directory = path.join(top, 'a/b/c');
  for (let time = 0; time < 2; time++) await makeDirectories(directory, 0o700);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
  await symlink(directory, path.join(top, 'link'));
  await makeDirectories(path.join(top, 'link'), 0o700);
});

test('ends where a directory that is there has no place for another', async () => {
  for (const name of ['/proc/x', '/proc/x/y']) {
    await expect(makeDirectories(name, 0o700)).rejects.toMatchObject({ code: 'ENOENT' });
  }
});

test('says what is in the way', async () => {
  const file = path.join(top, 'file');
  await writeFile(file, '');
  await symlink('nowhere', path.join(top, 'dangling'));
  await expect(makeDirectories(file, 0o700)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeDirectories(path.join(file, 'x/y'), 0o700)).rejects.toMatchObject({ code: 'ENOTDIR' });
  await expect(makeDirectories(path.join(top, 'dangling/x'), 0o700)).rejects.toMatchObject({ code: 'EEXIST' });
});
