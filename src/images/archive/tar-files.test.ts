import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { directory, tarOf, textFile } from './build-archive.fake.ts';
import { DirectoryFiles, readDocument } from './files.ts';
import { TarFiles } from './tar-files.ts';
import { tarEntry } from './tar-header.ts';
import type { NewEntry } from './tar-header.ts';

let top: string;
beforeAll(async () => {
  top = await mkdtemp(path.join(tmpdir(), 'berth-tar-'));
});
afterAll(() => rm(top, { recursive: true }));

async function index(bytes: Uint8Array): Promise<TarFiles> {
  const file = path.join(top, 'archive');
  await writeFile(file, bytes);
  const handle = await open(file, 'r');
  try {
    return await TarFiles.open(file, handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function textOf(files: TarFiles, name: string): Promise<string> {
  return Buffer.from(await readDocument(files, name)).toString();
}

const link = (name: string, type: '1' | '2', target: string): NewEntry => ({ name, type, mode: 0o644, target });

describe('the index of a tar', () => {
  it('finds files by clean names, long ones too', async () => {
    const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/file-é`;
    await using files = await index(tarOf([directory('a'), textFile('./a/b', 'one'), textFile(long, 'two')]));
    expect(await textOf(files, 'a/b')).toBe('one');
    expect(await textOf(files, 'a//./b')).toBe('one');
    expect(await textOf(files, long)).toBe('two');
    expect(await files.find('a')).toBeUndefined();
    expect(await files.find('c')).toBeUndefined();
  });

  it('follows links inside the archive, and no others', async () => {
    const entries = [
      textFile('x/layer.tar', 'L'),
      link('y/layer.tar', '2', '../x/layer.tar'),
      link('z', '1', 'x/layer.tar'),
      link('out', '2', '../../etc/passwd'),
      link('abs', '2', '/etc/passwd'),
      link('loop', '2', 'loop'),
    ];
    await using files = await index(tarOf(entries));
    expect([await textOf(files, 'y/layer.tar'), await textOf(files, 'z')]).toEqual(['L', 'L']);
    for (const name of ['out', 'abs', 'loop', '../x/layer.tar', '/x/layer.tar']) {
      expect(await files.find(name)).toBeUndefined();
    }
  });

  it.each<[string, () => Buffer]>([
    ['a truncated header', () => tarOf([textFile('a', 'x')]).subarray(0, 300)],
    ['truncated data', () => tarEntry(textFile('a', 'x'.repeat(5000))).subarray(0, 2048)],
    [
      'a wrong checksum',
      () => {
        const bytes = tarOf([textFile('a', 'x')]);
        bytes[0] = 0x62;
        return bytes;
      },
    ],
    [
      'a size beyond all',
      () => {
        const bytes = tarOf([textFile('a', 'x')]);
        bytes.fill(0xff, 124, 136);
        let sum = 0;
        for (let i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 0x20 : (bytes[i] ?? 0);
        bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
        return bytes;
      },
    ],
  ])('refuses %s', async (_what, make) => {
    await expect(index(make())).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  it('refuses a document that is too large', async () => {
    await using files = await index(tarOf([textFile('a', 'x'.repeat(4 * 1024 * 1024 + 1))]));
    await expect(readDocument(files, 'a')).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });
});

it('a directory is read without following symlinks or leaving it', async () => {
  const files = new DirectoryFiles('/proc/self');
  expect(await files.find('cwd/package.json')).toBeUndefined();
  expect(await files.find('../self/status')).toBeUndefined();
  expect(await files.find('/etc/passwd')).toBeUndefined();
  expect(await files.find('status')).toBeDefined();
});
