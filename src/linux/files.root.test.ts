import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { Files } from './files.ts';
import { loadAddon } from './load.ts';
import { runProcess } from './run-process.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: src/linux/files.root.test.ts needs root (attributes of files)');
const asRoot = isRoot ? describe : describe.skip;

const addon = loadAddon();
const place = mkdtempSync(path.join(tmpdir(), 'berth-files-'));

async function chattr(...args: string[]): Promise<void> {
  const env = ['PATH=/usr/bin:/bin'];
  const ran = await runProcess(createCtx(), addon, {
    path: '/usr/bin/chattr',
    argv: ['chattr', ...args],
    env,
    limit: 4096,
  });
  if (ran.code !== 0) throw new Error(`chattr ${args.join(' ')}: ${ran.stderr}`);
}

asRoot('what a container has made immutable or append-only', () => {
  const tree = path.join(place, 'tree');
  const kept = path.join(place, 'kept');
  afterAll(async () => {
    await chattr('-R', '-f', '-a', '-i', place).catch(() => undefined); // links have no attributes
    rmSync(place, { recursive: true });
  });

  test('goes with its tree; what links lead to stays what it is', async () => {
    const deep = path.join(tree, 'a', 'deep');
    mkdirSync(deep, { recursive: true });
    writeFileSync(kept, 'kept');
    const names = [path.join(tree, 'resolv.conf'), path.join(deep, 'hosts'), path.join(deep, 'log')];
    for (const name of names) writeFileSync(name, 'x');
    symlinkSync(kept, path.join(deep, 'link'));
    mkdirSync(path.join(tree, 'empty'));
    await chattr('+a', names[2] ?? '');
    for (const name of [...names.slice(0, 2), path.join(tree, 'empty'), deep, path.dirname(deep), tree, kept]) {
      await chattr('+i', name);
    }
    await new Files(addon).removeTree(tree);
    expect(readdirSync(place)).toEqual(['kept']);
    expect(readFileSync(kept, 'utf8')).toBe('kept');
    expect(() => writeFileSync(kept, 'changed')).toThrow('EPERM');
  });
});
