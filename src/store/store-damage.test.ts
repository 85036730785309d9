import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
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
          /^the store was damaged and repaired at 2.*records left: 3 image; known to be lost: writable layer of c1;/,
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
});
