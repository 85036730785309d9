import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf } from './errors.ts';

/**
 * Makes a directory and those above it that are missing; no effect when it is there. mkdir's own `recursive` never ends
 * where a directory that is there answers ENOENT to whoever makes one in it, as /proc does.
 *
 * @throws what mkdir(2) says; EEXIST where something else has the name
 */
export async function makeDirectories(directory: string, mode: number): Promise<void> {
  try {
    await makeOne(directory, mode);
  } catch (error) {
    const parent = path.dirname(directory);
    if (errnoOf(error) !== 'ENOENT' || parent === directory || (await isDirectory(parent))) throw error;
    await makeDirectories(parent, mode);
    await makeOne(directory, mode);
  }
}

async function makeOne(directory: string, mode: number): Promise<void> {
  try {
    await mkdir(directory, { mode });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST' || !(await isDirectory(directory))) throw error;
  }
}

async function isDirectory(name: string): Promise<boolean> {
  return await stat(name).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
