import { closeSync, constants, fstatSync, openSync, readSync, statSync, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';

// Files that an owner names may be anything: a named pipe would keep whoever reads it, a device has no end.

/** What was named is no regular file, or is longer than it may be. The sentence continues the file's name. */
export class UnfitFile extends Error {
  readonly tooLong: boolean;

  private constructor(message: string, tooLong: boolean) {
    super(message);
    this.tooLong = tooLong;
  }

  static kind(): UnfitFile {
    return new UnfitFile('is not a regular file', false);
  }

  static size(limit: number): UnfitFile {
    return new UnfitFile(`is larger than ${limit} bytes`, true);
  }
}

/** O_NONBLOCK: the open of a named pipe would wait for its other end. */
const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Reads a regular file of at most `limit` bytes, and waits for no other end of a pipe. What its size says is not believed:
 * files of the kernel have none.
 *
 * @throws UnfitFile, or what the kernel says
 */
export async function readBounded(file: string, limit: number): Promise<Buffer> {
  // The open alone does something to a device: a watchdog would run from then on.
  checkKind(await stat(file));
  await using handle = await open(file, flags);
  const buffer = bufferFor(await handle.stat(), limit);
  for (let size = 0; size <= limit;) {
    const { bytesRead } = await handle.read(buffer, size, buffer.length - size, null);
    if (bytesRead === 0) return buffer.subarray(0, size);
    size += bytesRead;
  }
  throw UnfitFile.size(limit);
}

/** As readBounded, for what is read before anything else can be done. */
export function readBoundedSync(file: string, limit: number): Buffer {
  checkKind(statSync(file));
  const fd = openSync(file, flags);
  try {
    const buffer = bufferFor(fstatSync(fd), limit);
    for (let size = 0; size <= limit;) {
      const bytesRead = readSync(fd, buffer, size, buffer.length - size, null);
      if (bytesRead === 0) return buffer.subarray(0, size);
      size += bytesRead;
    }
    throw UnfitFile.size(limit);
  } finally {
    closeSync(fd);
  }
}

/** One byte more than allowed, so that a file of exactly the limit is told from a longer one. */
function bufferFor(stats: Stats, limit: number): Buffer {
  checkKind(stats);
  if (stats.size > limit) throw UnfitFile.size(limit);
  return Buffer.allocUnsafeSlow(limit + 1);
}

function checkKind(stats: Stats): void {
  if (!stats.isFile()) throw UnfitFile.kind();
}
