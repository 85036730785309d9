/** A docker archive of one layer, written in memory: enough for the benchmark's own two images. */

export interface TarEntry {
  readonly name: string;
  readonly mode: number;
  /** A regular file. */
  readonly content?: Uint8Array;
  /** A hard link to an earlier entry. */
  readonly linkTo?: string;
}

const block = 512;

function header(entry: TarEntry): Buffer {
  const out = Buffer.alloc(block);
  const octal = (value: number, at: number, width: number): void => {
    out.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  };
  const kind = entry.content !== undefined ? '0' : entry.linkTo !== undefined ? '1' : '5';
  out.write(entry.name, 0, 100, 'latin1');
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.content?.length ?? 0, 124, 12);
  octal(0, 136, 12);
  out.write('        ', 148, 'latin1');
  out.write(kind, 156, 'latin1');
  out.write(entry.linkTo ?? '', 157, 100, 'latin1');
  out.write('ustar\u000000', 257, 'latin1');
  const sum = out.reduce((total, byte) => total + byte, 0);
  out.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return out;
}

export function tar(entries: readonly TarEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    parts.push(header(entry));
    if (entry.content === undefined) continue;
    parts.push(entry.content, Buffer.alloc((block - (entry.content.length % block)) % block));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}
