import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCtx } from '#base/ctx';
import { silentLogger } from '#base/log';
import type { CollectionSpec } from './collection.ts';
import { LevelStore } from './level-store.ts';

const ctx = createCtx();
const spec: CollectionSpec<string> = { kind: 'image', version: 1, sync: false, parse: String };

describe('a database that was damaged', () => {
  let root: string;
  let directory: string;
  const logged: unknown[] = [];
  const log = { ...silentLogger, error: (fields: object) => void logged.push(fields) };
  const open = (): Promise<LevelStore> => LevelStore.create(createCtx({ log }), { directory, bootId: 'boot-1' });
  const damages = async (): Promise<readonly string[]> => {
    await using store = await open();
    await store.open(ctx, spec);
    return await store.damages();
  };

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'berth-store-'));
    directory = path.join(root, 'db');
    logged.length = 0;
    await using store = await open();
    const images = await store.open(ctx, spec);
    for (let i = 0; i < 3; i++) await images.put(ctx, `${i}`, 'x');
  });
  afterEach(() => rm(root, { recursive: true }));

  const loseManifest = async (): Promise<void> => {
    for (const name of await readdir(directory)) {
      if (name.startsWith('MANIFEST')) await rm(path.join(directory, name));
    }
  };
  const beyondRepair = async (): Promise<void> => {
    await writeFile(path.join(directory, 'CURRENT'), 'nonsense');
    await mkdir(path.join(directory, '000001.dbtmp')); // where the repairer writes its new manifest
  };

  it('says nothing of one that is whole', async () => {
    await using store = await open();
    await store.noteLost(ctx, 'nothing');
    expect([await store.damages(), logged]).toEqual([[], []]);
  });

  it('says that it was repaired, what is left and what is known to be lost, until it is forgotten', async () => {
    await loseManifest();
    {
      await using store = await open();
      expect((await store.open(ctx, spec)).size).toBe(3);
      await store.noteLost(ctx, 'writable layer of c1');
      expect(logged).toContainEqual({ lost: 'writable layer of c1' });
    }
    for (let start = 0; start < 2; start++) {
      expect(await damages()).toEqual([
        expect.stringMatching(
          /^the store was damaged and repaired at 2.*records left: 3 images; known to be lost: writable layer of c1;/,
        ),
      ]);
    }
    expect((await damages())[0]).toContain(`broken copy is ${directory}/lost: berth check --forget deletes it`);
    {
      await using store = await open();
      await store.forget(ctx);
      expect(await store.damages()).toEqual([]);
      expect((await store.open(ctx, spec)).size).toBe(3);
    }
    expect(await damages()).toEqual([]);
    expect(await readdir(directory)).not.toContain('lost');
  });

  it('says that it was laid aside, until the copy is forgotten or taken away', async () => {
    for (const acknowledge of ['forget', 'take away']) {
      await beyondRepair();
      const lines = await damages();
      expect(lines).toEqual([expect.stringMatching(/^the store was damaged beyond repair at 2.* with an empty one; /)]);
      const aside = (await readdir(root)).filter((name) => name.startsWith('db.broken-'));
      expect(aside).toHaveLength(1);
      expect(lines[0]).toContain(path.join(root, aside[0] ?? ''));
      await using store = await open();
      if (acknowledge === 'forget') await store.forget(ctx);
      else await rm(path.join(root, aside[0] ?? ''), { recursive: true });
      expect(await store.damages()).toEqual([]);
      expect(await readdir(root)).toEqual(['db']);
    }
  });

  it('says when it was repaired also where an earlier berthd left no note', async () => {
    await mkdir(path.join(directory, 'lost'));
    expect(await damages()).toEqual([
      expect.stringMatching(/^the store was damaged and repaired at 2.*records left: unknown;/),
    ]);
  });

  const copies = async (): Promise<string[]> => (await readdir(root)).filter((name) => name.startsWith('db.broken-'));
  /** The log that holds all there is. */
  const logFile = async (): Promise<string> => {
    const [name = ''] = (await readdir(directory)).filter((each) => each.endsWith('.log'));
    return path.join(directory, name);
  };

  it('repairs one whose CURRENT is gone, instead of making a new one in its place', async () => {
    for (const round of [1, 2]) {
      // In the second round the records lie in a table.
      await rm(path.join(directory, 'CURRENT'));
      await using store = await open();
      expect((await store.open(ctx, spec)).size).toBe(3);
      expect([round, await store.damages()]).toEqual([
        round,
        [expect.stringMatching(/damaged and repaired at 2.*CURRENT.*records left: 3 images;/)],
      ]);
      await store.forget(ctx);
    }
  });

  it('takes one whose making was cut short for none', async () => {
    for (const name of await readdir(directory)) await rm(path.join(directory, name));
    await writeFile(path.join(directory, 'MANIFEST-000001'), 'begun');
    expect(await damages()).toEqual([]);
    expect(logged).toEqual([]);
  });

  it('says which log is damaged, and keeps it', async () => {
    const file = await logFile();
    const noise = Buffer.from('q'.repeat(100));
    const damaged = await readFile(file);
    noise.copy(damaged, 20);
    await writeFile(file, damaged);
    for (let start = 0; start < 2; start++) {
      expect(await damages()).toEqual([
        expect.stringMatching(/^the newest part of the store was damaged, as found at 2.*log: damaged at byte 0\), /),
      ]);
    }
    expect(logged).toContainEqual(expect.objectContaining({ log: path.basename(file), why: 'damaged at byte 0' }));
    const [copy = ''] = await copies();
    expect(await readFile(path.join(root, copy, path.basename(file)))).toEqual(damaged);
    await using store = await open();
    await store.forget(ctx);
    expect([await store.damages(), await copies()]).toEqual([[], []]);
  });

  it('says nothing of a log whose last record was cut short', async () => {
    const file = await logFile();
    await truncate(file, (await stat(file)).size - 5);
    await using store = await open();
    expect([await store.damages(), logged, (await store.open(ctx, spec)).size]).toEqual([[], [], 2]);
  });

  it('says that the log is gone', async () => {
    await rm(await logFile());
    expect(await damages()).toEqual([expect.stringContaining('its log is missing')]);
    expect(await damages()).toHaveLength(1);
  });

  it('says that there is no store where a berthd has been', async () => {
    const signs = [path.join(root, 'containers'), path.join(root, 'pods')];
    for (const sign of signs) await mkdir(sign);
    const openBeside = (): Promise<LevelStore> =>
      LevelStore.create(createCtx({ log }), { directory, bootId: 'boot-1', signs });
    await rm(directory, { recursive: true });
    {
      await using store = await openBeside();
      expect([await store.damages(), logged]).toEqual([[], []]);
    }
    await writeFile(path.join(root, 'containers', 'c1'), '');
    {
      await using store = await openBeside();
      expect([await store.damages(), logged]).toEqual([[], []]);
    }
    await rm(directory, { recursive: true });
    for (let start = 0; start < 2; start++) {
      await using store = await openBeside();
      if (start === 0) await store.noteLost(ctx, 'writable layer of c1');
      expect(await store.damages()).toEqual([
        expect.stringMatching(
          `^the store was missing at 2.*\\(1 entry in ${root}/containers lie here\\).*lost: writable layer of c1;`,
        ),
      ]);
    }
    expect(logged).toContainEqual({ directory, signs: [`1 entry in ${root}/containers`] });
    await using store = await openBeside();
    await store.forget(ctx);
    expect(await store.damages()).toEqual([]);
  });

  it('tells one that lost all its records from one of which nothing is known', async () => {
    await (await open())[Symbol.asyncDispose](); // puts the records into a table
    for (const name of await readdir(directory)) if (name.endsWith('.ldb')) await rm(path.join(directory, name));
    expect(await damages()).toEqual([expect.stringContaining('; records left: none;')]);
  });
});
