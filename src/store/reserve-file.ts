import { open, rename, rm, statfs, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { BerthError, errnoOf, toBerthError } from '#base/errors';
import type { Reserve } from './patient-disk.ts';
import type { Write } from './records.ts';

// The file is written full of zeros once, while there is room, and only written over from then on: that needs no room, and
// no other program can take it. Two halves, each a row of frames:
//
//     magic u32 | number u64 | length of the payload u32 | crc32 of number, length and payload u32 | payload (JSON)
//
// Numbers grow within a half; what follows with a smaller one is left from earlier. A half that is full is written anew, the
// newest of each record in one frame, in the other half. The half with the greatest number counts.

const magic = 0x6272_7376;
const headerBytes = 20;

/** A reserve of fixed size, beside the database. */
export class ReserveFile implements Reserve {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #halfBytes: number;
  /** The newest write of each record that the database does not have, and the number it came with. */
  readonly #newest = new Map<string, { readonly write: Write; readonly number: number }>();
  #half = 0;
  /** Of the next frame, within the half. */
  #offset = 0;

  private constructor(file: FileHandle, path: string, bytes: number) {
    this.#file = file;
    this.#path = path;
    this.#halfBytes = Math.floor(bytes / 2);
  }

  /**
   * @param mark up to which number the database has what was appended
   * @returns what it has besides, oldest first, and the greatest number; undefined when there is no such file
   */
  static async open(path: string, mark: number): Promise<OpenedReserve | undefined> {
    let file: FileHandle;
    try {
      file = await open(path, 'r+');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw toBerthError(error, `open the reserve ${path}`);
    }
    try {
      const { size } = await file.stat();
      const reserve = new ReserveFile(file, path, size);
      return { reserve, ...(await reserve.#read(mark)) };
    } catch (error) {
      await file.close();
      throw toBerthError(error, `read the reserve ${path}`);
    }
  }

  /**
   * Makes the file; it is there as a whole, or not at all. Takes no room that is nearly gone.
   *
   * @throws RESOURCE_EXHAUSTED when less than twice the bytes are free
   */
  static async create(path: string, bytes: number): Promise<ReserveFile> {
    const scratch = `${path}.new`;
    try {
      const { bavail, bsize } = await statfs(path.slice(0, path.lastIndexOf('/')));
      if (bavail * bsize < 2 * bytes) throw new BerthError('RESOURCE_EXHAUSTED', 'too little room is left');
      await using file = await open(scratch, 'w', 0o600);
      const zeros = Buffer.alloc(Math.min(bytes, 1 << 20));
      for (let at = 0; at < bytes; at += zeros.length) {
        await file.write(zeros, 0, Math.min(zeros.length, bytes - at), at);
      }
      // A file system that gives blocks late would give none when they are needed.
      await file.datasync();
      await rename(scratch, path);
    } catch (error) {
      await rm(scratch, { force: true });
      throw toBerthError(error, `make the reserve ${path} of ${bytes} bytes`);
    }
    return new ReserveFile(await open(path, 'r+'), path, bytes);
  }

  async append(number: number, batch: readonly Write[], sync: boolean): Promise<void> {
    const frame = frameOf(number, batch);
    if (this.#offset + frame.length <= this.#halfBytes) {
      await this.#put(this.#half, this.#offset, frame, sync);
      this.#offset += frame.length;
    } else {
      await this.#writeAnew(number, batch, sync);
    }
    for (const write of batch) this.#newest.set(write.key, { write, number });
  }

  async written(upTo: number): Promise<void> {
    for (const [key, { number }] of this.#newest) if (number <= upTo) this.#newest.delete(key);
    if (this.#newest.size > 0) return;
    this.#offset = 0;
    // What cannot be wiped is passed over by its number.
    const nothing = Buffer.alloc(headerBytes);
    for (const half of [0, 1]) await this.#put(half, 0, nothing, false).catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** All that counts, in one frame of the other half. */
  async #writeAnew(number: number, batch: readonly Write[], sync: boolean): Promise<void> {
    const all = new Map<string, Write>();
    for (const [key, { write }] of this.#newest) all.set(key, write);
    for (const write of batch) all.set(write.key, write);
    const frame = frameOf(number, [...all.values()]);
    if (frame.length > this.#halfBytes) {
      throw new BerthError('RESOURCE_EXHAUSTED', `the reserve ${this.#path} is full with ${all.size} records`);
    }
    await this.#put(1 - this.#half, 0, frame, sync);
    this.#half = 1 - this.#half;
    this.#offset = frame.length;
  }

  async #put(half: number, offset: number, bytes: Buffer, sync: boolean): Promise<void> {
    try {
      await this.#file.write(bytes, 0, bytes.length, half * this.#halfBytes + offset);
      if (sync) await this.#file.datasync();
    } catch (error) {
      throw toBerthError(error, `write to the reserve ${this.#path}`);
    }
  }

  async #read(mark: number): Promise<Omit<OpenedReserve, 'reserve'>> {
    const halves = await Promise.all([0, 1].map((half) => this.#readHalf(half)));
    const [first = 0, second = 0] = halves.map(({ frames }) => frames.at(-1)?.number);
    this.#half = second > first ? 1 : 0;
    const { frames = [], end = 0 } = halves[this.#half] ?? {};
    const kept = frames.filter(({ number }) => number > mark);
    for (const { number, batch } of kept) for (const write of batch) this.#newest.set(write.key, { write, number });
    this.#offset = kept.length > 0 ? end : 0;
    return { kept: kept.flatMap(({ batch }) => batch), last: Math.max(mark, first, second) };
  }

  async #readHalf(half: number): Promise<{ readonly frames: readonly Frame[]; readonly end: number }> {
    const bytes = Buffer.alloc(this.#halfBytes);
    // Most often there is nothing.
    await this.#file.read(bytes, 0, headerBytes, half * this.#halfBytes);
    if (bytes.readUInt32LE(0) !== magic) return { frames: [], end: 0 };
    await this.#file.read(bytes, 0, bytes.length, half * this.#halfBytes);
    const frames: Frame[] = [];
    let end = 0;
    for (let frame = readFrame(bytes, 0); frame; frame = readFrame(bytes, end)) {
      if (frame.number <= (frames.at(-1)?.number ?? 0)) break;
      frames.push(frame);
      end = frame.end;
    }
    return { frames, end };
  }
}

export interface OpenedReserve {
  readonly reserve: ReserveFile;
  readonly kept: readonly Write[];
  readonly last: number;
}

interface Frame {
  readonly number: number;
  readonly batch: readonly Write[];
  readonly end: number;
}

function frameOf(number: number, batch: readonly Write[]): Buffer {
  const payload = encode(batch);
  const frame = Buffer.alloc(headerBytes + payload.length);
  frame.writeUInt32LE(magic, 0);
  frame.writeBigUInt64LE(BigInt(number), 4);
  frame.writeUInt32LE(payload.length, 12);
  payload.copy(frame, headerBytes);
  frame.writeUInt32LE(checksum(frame, payload.length), 16);
  return frame;
}

function readFrame(bytes: Buffer, at: number): Frame | undefined {
  if (at + headerBytes > bytes.length || bytes.readUInt32LE(at) !== magic) return undefined;
  const length = bytes.readUInt32LE(at + 12);
  const end = at + headerBytes + length;
  if (end > bytes.length) return undefined;
  const frame = bytes.subarray(at, end);
  if (frame.readUInt32LE(16) !== checksum(frame, length)) return undefined;
  return { number: Number(frame.readBigUInt64LE(4)), batch: decode(frame.subarray(headerBytes)), end };
}

function checksum(frame: Buffer, length: number): number {
  const head = crc32(frame.subarray(4, 16));
  return crc32(frame.subarray(headerBytes, headerBytes + length), head);
}

function encode(batch: readonly Write[]): Buffer {
  return Buffer.from(
    JSON.stringify(batch.map((write) => (write.type === 'put' ? [write.key, write.value] : [write.key]))),
  );
}

function decode(payload: Buffer): readonly Write[] {
  const entries = JSON.parse(payload.toString('utf8')) as readonly (readonly [string, string?])[];
  return entries.map(([key, value]) => (value === undefined ? { type: 'del', key } : { type: 'put', key, value }));
}
