import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
// eslint-disable-next-line no-restricted-imports -- tests may start processes
import { spawn, spawnSync } from 'node:child_process';
import { rmSync, statSync, truncateSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Level } from 'level';
import { createCtx } from '#base/ctx';
import { silentLogger } from '#base/log';
import type { Logger } from '#base/log';
import type { Collection, CollectionSpec } from './collection.ts';
import { storeContract } from './collection.contract.ts';
import { LevelStore } from './level-store.ts';

const ctx = createCtx();
const spec: CollectionSpec<string> = { kind: 'name', version: 1, sync: false, parse: String };

storeContract('LevelDB', async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'berth-store-'));
  const directory = path.join(root, 'db');
  return {
    open: () => LevelStore.create(ctx, { directory, bootId: 'boot-1' }),
    plant: async (key, raw) => {
      const level = new Level(directory);
      await level.put(key, raw);
      await level.close();
    },
    cleanUp: () => rm(root, { recursive: true }),
  };
});

describe('LevelDB store', () => {
  let root: string;
  let count = 0;
  const fresh = (): string => path.join(root, `db${count++}`);
  const errors: string[] = [];
  const loud: Logger = { ...silentLogger, error: (_fields, message) => void errors.push(message) };
  const open = (directory: string): Promise<LevelStore> =>
    LevelStore.create(createCtx({ log: loud }), { directory, bootId: 'boot-1' });

  beforeAll(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'berth-store-'));
  });
  afterAll(() => rm(root, { recursive: true }));

  /** A closed store with records in table files and a log. */
  async function filled(directory: string): Promise<void> {
    for (const round of ['first', 'second']) {
      await using store = await open(directory);
      const names: Collection<string> = await store.open(ctx, spec);
      for (let i = 0; i < 50; i++) await names.put(ctx, `${round}-${i}`, 'x'.repeat(200));
    }
  }

  it('tells the second opener who owns the directory', async () => {
    const directory = fresh();
    await using store = await open(directory);
    expect(store.quarantined).toEqual([]);
    await expect(open(directory)).rejects.toMatchObject({
      code: 'STATE_LOCKED',
      message: `another berthd owns ${directory}`,
    });
  });

  it('repairs a database whose manifest is gone', async () => {
    const directory = fresh();
    await filled(directory);
    for (const name of await readdir(directory)) {
      if (name.startsWith('MANIFEST') || name === 'CURRENT') await rm(path.join(directory, name));
    }
    await writeFile(path.join(directory, 'CURRENT'), 'MANIFEST-000099\n');
    errors.length = 0;
    await using store = await open(directory);
    const names = await store.open(ctx, spec);
    expect(names.size).toBe(100);
    expect(errors).toContain('the store is corrupt; repairing it');
  });

  it('repairs a database of which a table has lost all its bytes', async () => {
    const directory = fresh();
    await filled(directory);
    const tables = (await readdir(directory)).filter((name) => name.endsWith('.ldb'));
    expect(tables.length).toBeGreaterThan(0);
    for (const name of tables) await writeFile(path.join(directory, name), '');
    await using store = await open(directory);
    const names = await store.open(ctx, spec);
    await names.put(ctx, 'more', 'x');
    expect(names.get('more')).toBe('x');
  });

  it('sets a database aside that cannot be repaired, and starts empty', async () => {
    const directory = fresh();
    await filled(directory);
    await writeFile(path.join(directory, 'CURRENT'), 'nonsense');
    await mkdir(path.join(directory, '000001.dbtmp')); // where the repairer writes its new manifest
    errors.length = 0;
    await using store = await open(directory);
    expect((await store.open(ctx, spec)).size).toBe(0);
    expect(errors.at(-1)).toMatch(/set aside, starting empty/);
    expect(await readdir(root)).toContainEqual(expect.stringMatching(/^db\d+\.broken-2/));
  });

  it('keeps every acknowledged record through kill -9', async () => {
    const directory = fresh();
    const script = `
      import { createCtx } from '#base/ctx';
      import { LevelStore } from '#store/level-store';
      const ctx = createCtx();
      const store = await LevelStore.create(ctx, { directory: process.argv[1], bootId: 'boot-1' });
      const names = await store.open(ctx, { kind: 'name', version: 1, sync: false, parse: String });
      for (let i = 0; ; i++) { await names.put(ctx, String(i), 'v' + i); process.stdout.write(i + '\\n'); }`;
    const args = ['--conditions=berth-src', '--input-type=module', '-e', script, directory];
    const child = spawn(process.execPath, args, {
      cwd: path.join(import.meta.dirname, '../..'),
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    await new Promise<void>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', () => resolve());
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
        if (output.length > 4000) child.kill('SIGKILL');
      });
    });
    const acknowledged = output.slice(0, output.lastIndexOf('\n')).split('\n').length;
    expect(acknowledged).toBeGreaterThan(500);
    await using store = await open(directory);
    const names = await store.open(ctx, spec);
    expect(names.size).toBeGreaterThanOrEqual(acknowledged);
    for (let i = 0; i < acknowledged; i++) expect(names.get(String(i))).toBe(`v${i}`);
  });

  /** A small disk of its own; `fill` takes all that is left, and gives it back when disposed. */
  async function smallDisk(): Promise<
    (Disposable & { at: string; fill: (leave?: number) => Promise<Disposable> }) | undefined
  > {
    if (process.getuid?.() !== 0) {
      console.warn('SKIPPED: the full-disk tests mount a tmpfs and need root');
      return undefined;
    }
    const at = await mkdtemp(path.join(root, 'full-'));
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', at]).status).toBe(0);
    const ballast = path.join(at, 'ballast');
    return {
      at,
      fill: async (leave = 0) => {
        await writeFile(ballast, Buffer.alloc(8 << 20)).catch(() => undefined);
        if (leave > 0) truncateSync(ballast, statSync(ballast).size - leave);
        return { [Symbol.dispose]: () => rmSync(ballast) };
      },
      [Symbol.dispose]: () => void spawnSync('umount', ['-l', at]),
    };
  }

  it('says RESOURCE_EXHAUSTED on a full disk, and goes on when there is room', async () => {
    using disk = await smallDisk();
    if (!disk) return;
    const directory = path.join(disk.at, 'db');
    let store = await open(directory);
    let names = await store.open(ctx, spec);
    await names.put(ctx, 'before', 'kept');
    {
      using _full = await disk.fill();
      await expect(names.put(ctx, 'big', 'x'.repeat(300_000))).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
      expect(names.get('big')).toBeUndefined();
    }
    await names.put(ctx, 'after', 'kept too');
    await store[Symbol.asyncDispose]();
    store = await open(directory);
    names = await store.open(ctx, spec);
    expect([names.get('before'), names.get('big'), names.get('after')]).toEqual(['kept', undefined, 'kept too']);
    await store[Symbol.asyncDispose]();
  });

  it('opens on a full disk, with all that has happened, and takes what happens then', async () => {
    using disk = await smallDisk();
    if (!disk) return;
    const directory = path.join(disk.at, 'db');
    const scratch = [path.join(disk.at, 'full-as-well'), root];
    const again = (reserveBytes = 512 * 1024): Promise<LevelStore> =>
      LevelStore.create(ctx, { directory, bootId: 'boot-1', reserveBytes, scratch });
    await filled(directory);
    let store = await again();
    let names = await store.open(ctx, spec);
    await names.put(ctx, 'before', 'kept');
    await store[Symbol.asyncDispose]();
    const record = 'x'.repeat(4_000);
    const more = async (round: string): Promise<void> => {
      for (let i = 0; i < 20; i++) await names.put(ctx, `${round}-fact-${i}`, record, 'fact');
    };
    {
      using _full = await disk.fill();
      for (const round of ['one', 'two']) {
        store = await again();
        names = await store.open(ctx, spec);
        expect(names.get('before')).toBe('kept');
        expect(names.size).toBe(round === 'one' ? 101 : 120);
        await expect(names.put(ctx, 'new', record)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
        await more(round);
        await names.delete(ctx, 'first-0');
        expect(store.behind).toMatchObject({ records: round === 'one' ? 21 : 41, inMemoryOnly: 0 });
        await store[Symbol.asyncDispose]();
      }
    }
    for (const records of [140, 141]) {
      store = await again();
      names = await store.open(ctx, spec);
      expect(names.size).toBe(records);
      await names.put(ctx, 'new', record);
      expect(store.behind).toBeUndefined();
      await store[Symbol.asyncDispose]();
    }
  });

  it('does not open the database again for every write that a full disk refuses', async () => {
    using disk = await smallDisk();
    if (!disk) return;
    const directory = path.join(disk.at, 'db');
    await using store = await open(directory);
    const names = await store.open(ctx, spec);
    using _full = await disk.fill();
    const refused = (): Promise<void> =>
      expect(names.put(ctx, 'big', 'x'.repeat(300_000))).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    await refused();
    // LevelDB begins a new one of these whenever it is opened.
    const log = statSync(path.join(directory, 'LOG')).ino;
    for (let i = 0; i < 5; i++) await refused();
    expect(statSync(path.join(directory, 'LOG')).ino).toBe(log);
  });

  it('takes every write or refuses it, with any room left', async () => {
    using disk = await smallDisk();
    if (!disk) return;
    const directory = path.join(disk.at, 'db');
    const told = new Map<string, string>();
    const options = { directory, bootId: 'boot-1', reserveBytes: 256 * 1024, scratch: [root] };
    for (let pages = 0; pages < 12; pages++) {
      const store = await LevelStore.create(ctx, options);
      const names = await store.open(ctx, spec);
      expect(Object.fromEntries([...told.keys()].map((id) => [id, names.get(id)]))).toEqual(Object.fromEntries(told));
      expect(names.size).toBe(told.size);
      {
        using _full = await disk.fill(pages * 4096);
        for (let i = 0; i < 6; i++) {
          const value = `${pages}-${i}-${'x'.repeat(3_000)}`;
          await names.put(ctx, `n${i}`, value).then(
            () => told.set(`n${i}`, value),
            (error: unknown) => expect(error).toMatchObject({ code: 'RESOURCE_EXHAUSTED' }),
          );
          await names.put(ctx, `f${i}`, value, 'fact');
          told.set(`f${i}`, value);
        }
      }
      await store[Symbol.asyncDispose]();
    }
  });
});
