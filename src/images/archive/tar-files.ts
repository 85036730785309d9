import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { BerthError } from '#base/errors';
import type { ArchiveFile, ArchiveFiles } from './files.ts';
import { borrow, isInside } from './files.ts';
import { blockSize, parseHeader, parsePax } from './tar-header.ts';
import type { TarHeader } from './tar-header.ts';

const maxEntries = 100_000;
const maxExtensionBytes = 1024 * 1024;
const maxLinks = 8;

interface Entry {
  readonly offset: number;
  readonly size: number;
  /** Another name in the archive: `docker save` writes the same layer once. */
  readonly link?: string;
}

/** An uncompressed tar, as an index of where each file lies. The data is read from the tar itself, never copied. */
export class TarFiles implements ArchiveFiles {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #entries: ReadonlyMap<string, Entry>;

  private constructor(file: string, handle: FileHandle, entries: ReadonlyMap<string, Entry>) {
    this.path = file;
    this.#handle = handle;
    this.#entries = entries;
  }

  /** Reads the headers; owns `handle` once it has succeeded. @throws IMAGE_INVALID */
  static async open(file: string, handle: FileHandle): Promise<TarFiles> {
    return new TarFiles(file, handle, await readIndex(file, handle));
  }

  async find(name: string): Promise<ArchiveFile | undefined> {
    let at = path.posix.normalize(name);
    for (let links = 0; links <= maxLinks; links++) {
      if (!isInside(at)) return undefined;
      const entry = this.#entries.get(at);
      if (entry?.link === undefined) {
        if (!entry) return undefined;
        const { offset, size } = entry;
        return { name, size, open: async () => borrow(this.#handle, offset, size) };
      }
      at = entry.link;
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

async function readIndex(file: string, handle: FileHandle): Promise<Map<string, Entry>> {
  const { size: total } = await handle.stat();
  const entries = new Map<string, Entry>();
  const invalid = (why: string): BerthError => new BerthError('IMAGE_INVALID', `${file} ${why}`);
  const block = Buffer.alloc(blockSize);
  let pending: Partial<TarHeader> = {};
  let count = 0;
  for (let offset = 0; offset < total;) {
    const { bytesRead } = await handle.read(block, 0, blockSize, offset);
    if (bytesRead < blockSize) throw invalid('is a truncated tar');
    const header = parseHeader(block);
    if (header === 'end') break;
    if (header === 'bad') throw invalid(offset === 0 ? 'is not a tar' : 'is a corrupt tar');
    if (++count > maxEntries) throw invalid(`has more than ${maxEntries} entries`);
    const data = offset + blockSize;
    const size = pending.size ?? header.size;
    if (!Number.isSafeInteger(size) || data + size > total) throw invalid('is a truncated tar');
    offset = data + Math.ceil(size / blockSize) * blockSize;
    if ('xgLK'.includes(header.type)) {
      if (size > maxExtensionBytes) throw invalid('has an extended header that is too large');
      const bytes = Buffer.alloc(size);
      await handle.read(bytes, 0, size, data);
      if (header.type === 'x') pending = { ...pending, ...parsePax(bytes) };
      if (header.type === 'L') pending = { ...pending, name: untilNul(bytes) };
      if (header.type === 'K') pending = { ...pending, target: untilNul(bytes) };
      continue;
    }
    const name = path.posix.normalize(pending.name ?? header.name).replace(/^\/+/, '');
    const link = pending.target ?? header.target;
    pending = {};
    if (header.type === '0' || header.type === '7') entries.set(name, { offset: data, size });
    // A symlink is relative to its directory, a hard link to the root of the archive.
    if (header.type === '1') entries.set(name, { offset: 0, size: 0, link: path.posix.normalize(link) });
    if (header.type === '2') {
      entries.set(name, { offset: 0, size: 0, link: path.posix.join(path.posix.dirname(name), link) });
    }
  }
  return entries;
}

function untilNul(bytes: Buffer): string {
  const nul = bytes.indexOf(0);
  return bytes.toString('utf8', 0, nul < 0 ? bytes.length : nul);
}
