import { open, type FileHandle } from 'node:fs/promises';
import { sleep } from '#base/deadline';
import { errnoOf } from '#base/errors';

/** A piece of what a container wrote. */
export interface LogPiece {
  readonly stream: 'stdout' | 'stderr';
  /** A whole line with its end, or a part of one. */
  readonly text: Buffer;
}

export interface FollowOptions {
  /** False: what is there now. True: go on until `ended` says that nothing more will come. */
  readonly follow: boolean;
  /** Asked at the end of the file. */
  readonly ended?: () => boolean | Promise<boolean>;
  readonly signal?: AbortSignal;
  readonly pollMs?: number;
}

const chunkSize = 64 * 1024;

/** Reads a CRI log file and goes over to its successor when it was rotated. A file that does not exist yet is waited for. */
export async function* readLog(file: string, options: FollowOptions): AsyncGenerator<LogPiece> {
  const { pollMs = 20 } = options;
  let source: FileHandle | undefined;
  const parser = new LineParser();
  try {
    for (;;) {
      source ??= await openIfThere(file);
      // Asked before the read that finds nothing: what was written before the end is then read for certain.
      const last = !options.follow || (await options.ended?.()) === true;
      let grew = false;
      if (source) {
        for await (const chunk of chunks(source)) {
          grew = true;
          yield* parser.add(chunk);
        }
      }
      if (source && !last && !grew && (await wasReplaced(source, file))) {
        // The successor is there, so the old file is complete: what came since the last read is still in it.
        for await (const chunk of chunks(source)) yield* parser.add(chunk);
        await source.close();
        source = undefined;
        continue;
      }
      if (last && !grew) return;
      if (!grew) await sleep(pollMs, options.signal);
      options.signal?.throwIfAborted();
    }
  } finally {
    await source?.close();
  }
}

async function* chunks(source: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { bytesRead, buffer } = await source.read(Buffer.allocUnsafe(chunkSize), 0, chunkSize);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function wasReplaced(source: FileHandle, file: string): Promise<boolean> {
  const successor = await openIfThere(file);
  if (successor === undefined) return false;
  try {
    const [mine, theirs] = await Promise.all([source.stat(), successor.stat()]);
    return mine.ino !== theirs.ino || mine.dev !== theirs.dev;
  } finally {
    await successor.close();
  }
}

const newline = 0x0a;
const space = 0x20;

/** "time stream P|F text": takes the text out, byte for byte. */
export class LineParser {
  #rest: Buffer = Buffer.alloc(0);

  *add(chunk: Buffer): Generator<LogPiece> {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (let end = data.indexOf(newline); end !== -1; end = data.indexOf(newline)) {
      const piece = parseLine(data.subarray(0, end + 1));
      if (piece) yield piece;
      data = data.subarray(end + 1);
    }
    this.#rest = Buffer.from(data);
  }
}

function parseLine(line: Buffer): LogPiece | undefined {
  const first = line.indexOf(space);
  const second = line.indexOf(space, first + 1);
  const third = line.indexOf(space, second + 1);
  if (first < 0 || second < 0 || third < 0) return undefined;
  const stream = line.toString('latin1', first + 1, second);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const partial = line[second + 1] === 'P'.charCodeAt(0);
  return { stream, text: line.subarray(third + 1, partial ? line.length - 1 : line.length) };
}
