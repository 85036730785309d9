// eslint-disable-next-line no-restricted-imports -- mkfifo(1) makes what Node cannot make
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readBounded, readBoundedSync, UnfitFile } from './bounded-file.ts';

let directory: string;
const listener = createServer();
const inside = (name: string): string => path.join(directory, name);
beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-bounded-'));
  for (const bytes of [0, 99, 100, 101]) writeFileSync(inside(String(bytes)), Buffer.alloc(bytes, 'x'));
  execFileSync('mkfifo', [inside('pipe')]);
  await new Promise<void>((resolve) => listener.listen(inside('socket'), resolve));
});
afterAll(async () => {
  await new Promise((resolve) => listener.close(resolve));
  rmSync(directory, { recursive: true });
});

const readers: readonly [string, (file: string, limit: number) => Promise<Buffer>][] = [
  ['readBounded', readBounded],
  ['readBoundedSync', (file, limit) => Promise.resolve().then(() => readBoundedSync(file, limit))],
];

describe.each(readers)('%s', (_name, read) => {
  test.each([0, 99, 100])('gives all %i bytes of a file within the limit', async (bytes) => {
    expect((await read(inside(String(bytes)), 100)).toString()).toBe('x'.repeat(bytes));
  });

  test('refuses one byte more than the limit', async () => {
    await expect(read(inside('101'), 100)).rejects.toMatchObject({
      message: 'is larger than 100 bytes',
      tooLong: true,
    });
  });

  test('reads a file of the kernel, whose size says nothing, and no more of it than the limit', async () => {
    expect((await read('/proc/self/status', 65_536)).toString()).toMatch(/^Name:/);
    await expect(read('/proc/self/status', 10)).rejects.toMatchObject({ tooLong: true });
  });

  test.each(['pipe', '.', '/dev/zero'])(
    'refuses %s, which is no regular file, without waiting for it',
    async (name) => {
      const file = path.resolve(directory, name);
      const failure = read(file, 100);
      await expect(failure).rejects.toBeInstanceOf(UnfitFile);
      await expect(failure).rejects.toMatchObject({ message: 'is not a regular file', tooLong: false });
    },
  );

  test('opens nothing but a regular file: the open alone would start a watchdog', async () => {
    // The kernel refuses to open a socket (ENXIO): that something else is said shows that nobody tried.
    await expect(read(inside('socket'), 100)).rejects.toMatchObject({ message: 'is not a regular file' });
  });

  test('gives the errno of what is not there', async () => {
    await expect(read(inside('none'), 100)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
