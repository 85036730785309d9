import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { loadAddon } from './load.ts';

const addon = loadAddon();
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-usage-'));
  for (const name of ['a', 'b']) mkdirSync(path.join(directory, name));
  writeFileSync(path.join(directory, 'a/one'), 'first\n');
  writeFileSync(path.join(directory, 'b/one'), Buffer.from([0xe9]));
  writeFileSync(path.join(directory, 'b/two'), Buffer.alloc(4096, 'x'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

test('files of many directories are one text for each directory', async () => {
  const files = ['one', 'two'].map((name) => ({ before: `${directory}/`, after: `/${name}` }));
  expect(await addon.readEach(['a', 'b', 'none'], files, 100)).toEqual([
    'first\n\0\x01\0',
    'é\0\x01\0',
    '\x01\0\x01\0',
  ]);
  expect(await addon.readEach([], files, 100)).toEqual([]);
  const cut = files.map((file) => ({ ...file, cut: true as const }));
  expect(await addon.readEach(['a', 'b'], cut, 5)).toEqual(['first\0\x01\0', 'é\0xxxxx\0']);
  expect(() => addon.readEach(['a\0b'], files, 100)).toThrow('directories must be free of NUL bytes');
  const tooMany = Array<string>(4097).fill('a');
  expect(() => addon.readEach(tooMany, files, 1)).toThrow(expect.objectContaining({ code: 'E2BIG' }));
});

test('a tree is measured in blocks, its hard links once', async () => {
  const before = await addon.treeUsage(directory, 100);
  linkSync(path.join(directory, 'b/two'), path.join(directory, 'a/two'));
  const after = await addon.treeUsage(directory, 100);
  expect(after).toEqual({ bytes: before.bytes, inodes: before.inodes + 1n, complete: true });
  expect(await addon.treeUsage(directory, 3)).toMatchObject({ inodes: 3n, complete: false });
  await expect(addon.treeUsage(`${directory}/none`, 3)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('open files of listed processes are counted', async () => {
  const procs = path.join(directory, 'procs');
  writeFileSync(procs, `${process.pid}\n999999999\n`);
  const before = await addon.countDescriptors(procs, 10_000);
  const pipe = addon.pipe();
  const after = await addon.countDescriptors(procs, 10_000);
  addon.close(pipe.read);
  addon.close(pipe.write);
  expect(after).toEqual({ open: before.open + 2n, sockets: before.sockets });
});

test('a file system without books of projects says so, and a tree there has none', async () => {
  // tmpfs: its user and group quotas never count projects.
  const results = await addon.fileBatch([{ op: 'project', path: '/dev/shm', optional: true }]);
  expect(results[0]?.error).toMatch(/^(ENOSYS|ESRCH|EOPNOTSUPP|ENOTTY|EINVAL)$/);
  expect(await addon.projectUsage(['/dev/shm', `${directory}/none`])).toEqual([undefined, undefined]);
});
