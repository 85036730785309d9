import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { Files } from '#linux/files';
import { loadAddon } from '#linux/load';
import { ImageDirs } from './image-dirs.ts';

const files = new Files(loadAddon());
const root = mkdtempSync(path.join(tmpdir(), 'berth-image-dirs-'));
const dirs = new ImageDirs(root, files);
afterAll(() => files.removeTree(root));

/** Directories in each other whose names together are longer than any path that a call takes. */
function makeDeep(top: string): void {
  mkdirSync(top);
  let here = openSync(top, 'r');
  for (let at = 0; at < 30; at++) {
    const below = `/proc/self/fd/${here}/${'d'.repeat(200)}`;
    mkdirSync(below);
    const next = openSync(below, 'r');
    closeSync(here);
    here = next;
  }
  closeSync(here);
}

test('a layer, or one in the making, that is deeper than a path is long goes', async () => {
  await dirs.create();
  makeDeep(dirs.layer('a'));
  await dirs.removeLayer('a');
  await dirs.removeLayer('a');
  expect(existsSync(dirs.layer('a'))).toBe(false);
  makeDeep(path.join(dirs.tmp, 'scratch'));
  await dirs.removeScratch('scratch');
  expect(readdirSync(dirs.tmp)).toEqual([]);
});
