import type { FileHandle } from 'node:fs/promises';
import { lstat, open, stat } from 'node:fs/promises';
import { constants, read } from 'node:fs';
import path from 'node:path';
import { BerthError, errnoOf } from '#base/errors';
import { maxDocumentBytes } from '../untrusted.ts';

/** A range of an open file; whoever opened it closes it. */
export interface OpenRange extends AsyncDisposable {
  readonly fd: number;
  readonly offset: number;
  readonly length: number;
}

/** One regular file of an archive. */
export interface ArchiveFile {
  readonly name: string;
  readonly size: number;
  open(): Promise<OpenRange>;
}

/** The files of an archive, be it a directory or a tar. Names are untrusted and never leave it. */
export interface ArchiveFiles extends AsyncDisposable {
  /** For error messages. */
  readonly path: string;
  find(name: string): Promise<ArchiveFile | undefined>;
}

/** Reads a whole document. @throws IMAGE_INVALID when it is missing or too large */
export async function readDocument(files: ArchiveFiles, name: string): Promise<Uint8Array> {
  const file = await findFile(files, name);
  if (file.size > maxDocumentBytes) {
    throw new BerthError('IMAGE_INVALID', `${name} in ${files.path} is larger than ${maxDocumentBytes} bytes`);
  }
  await using range = await file.open();
  return await readRange(range, name);
}

/** @throws IMAGE_INVALID when there is no such file */
export async function findFile(files: ArchiveFiles, name: string): Promise<ArchiveFile> {
  const file = await files.find(name);
  if (!file) throw new BerthError('IMAGE_INVALID', `${files.path} has no file ${JSON.stringify(name.slice(0, 256))}`);
  return file;
}

/** Whether `name` is relative, clean and below: no "", ".", ".." parts. */
export function isInside(name: string): boolean {
  return name.length <= 1024 && name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

async function readRange(range: OpenRange, name: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(range.length);
  let have = 0;
  while (have < range.length) {
    const got = await new Promise<number>((resolve, reject) => {
      read(range.fd, bytes, have, range.length - have, range.offset + have, (error, n) => {
        if (error) reject(error);
        else resolve(n);
      });
    });
    if (got === 0) throw new BerthError('IMAGE_INVALID', `${name} is truncated`);
    have += got;
  }
  return bytes;
}

/** A range of a handle that somebody else closes. */
export function borrow(handle: FileHandle, offset: number, length: number): OpenRange {
  return { fd: handle.fd, offset, length, [Symbol.asyncDispose]: async () => undefined };
}

/** An unpacked archive. Symlinks are not followed: an image layout has none. */
export class DirectoryFiles implements ArchiveFiles {
  readonly path: string;

  constructor(directory: string) {
    this.path = directory;
  }

  async find(name: string): Promise<ArchiveFile | undefined> {
    if (!isInside(name)) return undefined;
    let at = this.path;
    for (const part of name.split('/')) {
      at = path.join(at, part);
      const status = await statOrNothing(at);
      if (!status || status.isSymbolicLink()) return undefined;
    }
    const { size } = await stat(at);
    return { name, size, open: () => this.#open(at, size) };
  }

  async #open(file: string, size: number): Promise<OpenRange> {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = await handle.stat();
    if (!status.isFile()) {
      await handle.close();
      throw new BerthError('IMAGE_INVALID', `${file} is not a regular file`);
    }
    return { fd: handle.fd, offset: 0, length: size, [Symbol.asyncDispose]: () => handle.close() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return;
  }
}

async function statOrNothing(file: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  try {
    return await lstat(file);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
