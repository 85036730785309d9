/** Tar headers, both ways: read from archives that are loaded, written for those that are made. */
export const blockSize = 512;

export interface TarHeader {
  readonly name: string;
  readonly size: number;
  /** '0' file, '1' hard link, '2' symlink, '5' directory, 'x' 'g' pax, 'L' 'K' GNU long names. */
  readonly type: string;
  readonly target: string;
}

export interface NewEntry {
  readonly name: string;
  readonly type: '0' | '1' | '2' | '5';
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly target?: string;
  readonly data?: Uint8Array;
}

/** 'end' for a block of zeros, 'bad' when the checksum is wrong. */
export function parseHeader(block: Buffer): TarHeader | 'end' | 'bad' {
  if (block.every((byte) => byte === 0)) return 'end';
  if (parseNumber(block.subarray(148, 156)) !== checksum(block)) return 'bad';
  const prefix = block.toString('latin1', 257, 262) === 'ustar' ? textAt(block, 345, 155) : '';
  const name = textAt(block, 0, 100);
  const type = String.fromCharCode(block[156] ?? 0);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: parseNumber(block.subarray(124, 136)),
    type: type === '\0' ? '0' : type,
    target: textAt(block, 157, 100),
  };
}

/** What a pax header says about name, target and size. Lines that are no records end the reading. */
export function parsePax(bytes: Buffer): Partial<TarHeader> {
  const found: { name?: string; target?: string; size?: number } = {};
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? NaN : Number(bytes.toString('latin1', at, space));
    if (!Number.isInteger(length) || length <= space - at + 1 || at + length > bytes.length) break;
    const record = bytes.toString('utf8', space + 1, at + length - 1);
    at += length;
    const equals = record.indexOf('=');
    const value = record.slice(equals + 1);
    switch (record.slice(0, Math.max(equals, 0))) {
      case 'path':
        found.name = value;
        break;
      case 'linkpath':
        found.target = value;
        break;
      case 'size':
        found.size = /^\d+$/.test(value) ? Number(value) : NaN;
        break;
      default:
    }
  }
  return found;
}

/** Header, data and padding of one entry. Names that ustar cannot hold get a pax header first. */
export function tarEntry(entry: NewEntry): Buffer {
  const name = entry.type === '5' && !entry.name.endsWith('/') ? `${entry.name}/` : entry.name;
  const target = entry.target ?? '';
  const records = [
    ...(Buffer.byteLength(name) > 100 ? [paxRecord('path', name)] : []),
    ...(Buffer.byteLength(target) > 100 ? [paxRecord('linkpath', target)] : []),
  ];
  const plain = plainEntry({ ...entry, name, target });
  if (records.length === 0) return plain;
  const pax = plainEntry({ name: 'pax', type: 'x', mode: 0o644, data: Buffer.concat(records) });
  return Buffer.concat([pax, plain]);
}

/** The two blocks of zeros that end a tar. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * blockSize);
}

function plainEntry(entry: Omit<NewEntry, 'type'> & { readonly type: string }): Buffer {
  const data = entry.data ?? new Uint8Array();
  const header = Buffer.alloc(blockSize);
  header.write(Buffer.from(entry.name).subarray(0, 100).toString('latin1'), 0, 'latin1');
  writeOctal(header, 100, 8, entry.mode);
  writeNumber(header, 108, 8, entry.uid ?? 0);
  writeNumber(header, 116, 8, entry.gid ?? 0);
  writeNumber(header, 124, 12, data.length);
  writeOctal(header, 136, 12, entry.mtime ?? 0);
  header.write(entry.type, 156, 'latin1');
  header.write(
    Buffer.from(entry.target ?? '')
      .subarray(0, 100)
      .toString('latin1'),
    157,
    'latin1',
  );
  header.write('ustar\u000000', 257, 'latin1');
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const padding = Buffer.alloc((blockSize - (data.length % blockSize)) % blockSize);
  return Buffer.concat([header, data, padding]);
}

function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  // The length counts its own digits.
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

function writeOctal(header: Buffer, at: number, width: number, value: number): void {
  header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
}

/** Octal, or base 256 (first bit set) for what octal cannot hold. */
function writeNumber(header: Buffer, at: number, width: number, value: number): void {
  if (value < 8 ** (width - 1)) {
    writeOctal(header, at, width, value);
    return;
  }
  let rest = BigInt(value);
  for (let i = width - 1; i > 0; i--, rest >>= 8n) header[at + i] = Number(rest & 255n);
  header[at] = 0x80;
}

function parseNumber(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    let value = BigInt((field[0] ?? 0) & 0x7f);
    for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
    return Number(value);
  }
  const digits = field.toString('latin1').replaceAll('\0', ' ').trim();
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : digits === '' ? 0 : NaN;
}

function checksum(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < blockSize; i++) if (i < 148 || i >= 156) sum += block[i] ?? 0;
  return sum;
}

function textAt(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const nul = field.indexOf(0);
  return field.toString('utf8', 0, nul < 0 ? length : nul);
}
