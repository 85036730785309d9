// The format of LevelDB's write-ahead log, as far as it takes to tell a damaged one from one whose writer was killed (its
// doc/log_format.md): blocks of 32 KiB; in them records of a masked CRC-32C (4 bytes) of type and data, the data's length
// (2 bytes), a type and the data. No record crosses a block: a larger batch is a first, middle and last one. What is left
// of a block and has no room for a header is zero. Numbers are little-endian.

const blockBytes = 32 * 1024;
const headerBytes = 7;
const types = { full: 1, first: 2, middle: 3, last: 4 } as const;

interface PhysicalRecord {
  readonly type: number;
  readonly end: number;
}

/**
 * The offset of the first damaged record; undefined when all of them are whole, or only the last is cut short, as a killed
 * writer, a full disk and a loss of power leave it. LevelDB itself drops what is damaged, and often what follows it in the
 * same block, without an error; where a length is damaged in the last block it takes the rest for cut short.
 */
export function findLogDamage(log: Buffer): number | undefined {
  let at = 0;
  let inBatch = false;
  while (at < log.length) {
    const room = roomInBlock(at);
    if (room < headerBytes) {
      at += room;
      continue;
    }
    const record = readRecord(log, at);
    if (!record) return isTorn(log, at, inBatch) ? undefined : at;
    const goesOn = record.type === types.middle || record.type === types.last;
    if (goesOn !== inBatch) return at;
    inBatch = record.type === types.first || record.type === types.middle;
    at = record.end;
  }
  return undefined;
}

function roomInBlock(at: number): number {
  return blockBytes - (at % blockBytes);
}

/** Undefined: there is no whole record at this offset. */
function readRecord(log: Buffer, at: number): PhysicalRecord | undefined {
  if (at + headerBytes > log.length) return undefined;
  const length = log.readUInt16LE(at + 4);
  const type = log.readUInt8(at + 6);
  const end = at + headerBytes + length;
  if (type < types.full || type > types.last || end > log.length || headerBytes + length > roomInBlock(at))
    return undefined;
  return unmask(log.readUInt32LE(at)) === crc32c(log, at + 6, end) ? { type, end } : undefined;
}

/** Whether what lies here is what is left of the last write, and not a record that was whole once. */
function isTorn(log: Buffer, at: number, inBatch: boolean): boolean {
  const rest = log.subarray(at);
  // A file that had grown before its bytes were written.
  if (rest.every((byte) => byte === 0)) return true;
  if (hasRecordAfter(log, at)) return false;
  if (rest.length < headerBytes) return true;
  const type = rest.readUInt8(6);
  const length = rest.readUInt16LE(4);
  const room = roomInBlock(at) - headerBytes;
  const fits = type === types.first || type === types.middle ? length === room : length <= room;
  const expected: readonly number[] = inBatch ? [types.middle, types.last] : [types.full, types.first];
  if (!fits || !expected.includes(type)) return false;
  // Cut short; or the pages of its end were not written before the power was lost. No record of Berth's ends in zeros.
  return headerBytes + length > rest.length || rest.subarray(-8).every((byte) => byte === 0);
}

/** Nothing follows the last write; a damaged length says nothing about where the next record begins. */
function hasRecordAfter(log: Buffer, at: number): boolean {
  for (let from = at + 1; from + headerBytes <= log.length; from++) {
    if (readRecord(log, from)) return true;
  }
  return false;
}

const polynomial = 0x82f63b78;
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
  return value;
});

function crc32c(bytes: Buffer, from: number, to: number): number {
  let value = 0xffff_ffff;
  for (let at = from; at < to; at++) value = (table[(value ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (value >>> 8);
  return ~value >>> 0;
}

/** A checksum of bytes that hold checksums would be weak: LevelDB rotates and adds. */
function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
