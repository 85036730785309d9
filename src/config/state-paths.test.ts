import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
// eslint-disable-next-line no-restricted-imports -- tests may start processes
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { checkStatePlaces, makeStatePlaces, refuseSharedPlaces } from './state-paths.ts';

let top: string;
beforeAll(async () => {
  top = await mkdtemp(path.join(tmpdir(), 'berth-places-'));
  await writeFile(path.join(top, 'file'), '');
});
afterAll(() => rm(top, { recursive: true }));

describe('a place for berthd’s state', () => {
  test.each([
    ['/proc/x', '/proc is on a file system of the kernel'],
    ['/proc/x/y', '/proc is on a file system of the kernel'],
    ['/sys/x', '/sys is on a file system of the kernel'],
    ['/dev/null/x', '/dev/null is not a directory'],
    ['FILE', 'file is not a directory'],
    ['FILE/x/y', 'file is not a directory'],
  ])('%s is refused by key and reason, whichever of the two it is', async (name, reason) => {
    const place = name.replace('FILE', path.join(top, 'file'));
    const refused = (key: string): unknown =>
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(`^${key} = "${place}" cannot be used: .*${reason}`),
      });
    const good = path.join(top, 'good');
    expect(() => checkStatePlaces({ root: place, run: good })).toThrow(refused('root'));
    expect(() => checkStatePlaces({ root: good, run: place })).toThrow(refused('run'));
    await expect(makeStatePlaces({ root: place, run: good })).rejects.toEqual(refused('root'));
    expect(existsSync(good)).toBe(false);
  });

  test('on a read-only file system is refused', async () => {
    if (process.getuid?.() !== 0) {
      console.warn('SKIPPED: mounting needs root');
      return;
    }
    const place = await mkdtemp(path.join(top, 'ro-'));
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', place]).status).toBe(0);
    try {
      expect(() => checkStatePlaces({ root: `${place}/x`, run: top })).toThrow(
        `${place} is on a read-only file system`,
      );
    } finally {
      spawnSync('umount', [place]);
    }
  });

  test('that is missing is made, and may be there', async () => {
    const places = { root: path.join(top, 'a/root'), run: path.join(top, 'a/run') };
    for (let time = 0; time < 2; time++) await makeStatePlaces(places);
    expect(existsSync(places.root) && existsSync(places.run)).toBe(true);
  });

  test('is refused where it is the other’s, or one of its own directories', () => {
    expect(() => refuseSharedPlaces({ root: '/b', run: '/b' })).toThrow('root and run are both /b');
    expect(() => refuseSharedPlaces({ root: '/b', run: '/b/db/run' })).toThrow('run = "/b/db/run" lies where');
    expect(() => refuseSharedPlaces({ root: '/b/pods', run: '/b' })).toThrow('root = "/b/pods" lies where');
    for (const run of ['/b/run', '/b/database', '/bb']) refuseSharedPlaces({ root: '/b', run });
  });
});
