import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Files } from './files.ts';
import { loadAddon } from './load.ts';

const files = new Files(loadAddon());
const root = mkdtempSync(path.join(tmpdir(), 'berth-files-'));
afterAll(() => rmSync(root, { recursive: true }));

describe('a batch of files', () => {
  test('creates, and copies what is there', async () => {
    const [made, copied] = [path.join(root, 'made'), path.join(root, 'copied')];
    await files.run(
      [
        { op: 'create', path: made, data: 'grüße\n', mode: 0o644 },
        { op: 'copy', path: made, to: copied, mode: 0o644, limit: 100 },
        { op: 'copy', path: path.join(root, 'none'), to: copied, mode: 0o644, limit: 100, optional: ['ENOENT'] },
      ],
      'write',
    );
    expect(readFileSync(copied, 'utf8')).toBe('grüße\n');
  });

  test('says what failed, and does not go through a link', async () => {
    const link = path.join(root, 'link');
    symlinkSync(path.join(root, 'made'), link);
    const writing = files.run([{ op: 'create', path: link, data: '', mode: 0o644 }], 'write the files');
    await expect(writing).rejects.toMatchObject({ code: 'KERNEL', message: `write the files: ${link}: ELOOP` });
  });
});

describe('removing a tree', () => {
  test.each([3, 600])('of %d files', async (count) => {
    const tree = path.join(root, `tree-${count}`);
    mkdirSync(path.join(tree, 'below'), { recursive: true });
    for (let at = 0; at < count; at++) writeFileSync(path.join(tree, 'below', String(at)), '');
    await files.removeTree(tree);
    expect(existsSync(tree)).toBe(false);
  });

  test('that is deep, missing, or a file', async () => {
    const deep = path.join(root, 'deep');
    mkdirSync(path.join(deep, ...Array<string>(60).fill('d')), { recursive: true });
    await files.removeTree(deep);
    await files.removeTree(deep);
    writeFileSync(deep, '');
    await files.removeTree(deep);
    expect(existsSync(deep)).toBe(false);
  });

  test('that a container made deeper than a path may be long', async () => {
    const [top, outer] = [path.join(root, 'abyss'), path.join(root, 'outer')];
    mkdirSync(top);
    for (let level = 0; level < 1000; level++) {
      mkdirSync(outer);
      writeFileSync(path.join(outer, 'beside'), '');
      renameSync(top, path.join(outer, 'd'.repeat(200)));
      renameSync(outer, top);
    }
    await files.removeTree(top);
    expect(existsSync(top)).toBe(false);
  });

  test('that holds a mount or is held otherwise ends with the reason, and not never', async () => {
    const refusing = new Files({
      fileBatch: async () => [{ error: 'EBUSY' }],
      projectUsage: async () => [],
      treeUsage: async () => ({ bytes: 0n, inodes: 0n, complete: true }),
    });
    await expect(refusing.removeTree('/t')).rejects.toMatchObject({ message: 'remove /t: /t: EBUSY' });
  });
});
