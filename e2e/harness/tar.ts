import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';

// Tars as images carry them, and as no honest tool writes them: names and targets are written as they are given.

export interface LayerEntry {
  readonly name: string;
  /** A regular file unless a target is given, or the name ends with "/". */
  readonly data?: string | Uint8Array;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly symlinkTo?: string;
  readonly hardlinkTo?: string;
  readonly fifo?: true;
  readonly blockDevice?: { readonly major: number; readonly minor: number };
}

const block = 512;

export function tar(entries: readonly LayerEntry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const data = Buffer.from(entry.data ?? '');
    return [header(entry, data.length), data, Buffer.alloc((block - (data.length % block)) % block)];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

/** Everything below a directory, sorted, owned by root; `prefix` is put before each name. */
export function entriesOf(directory: string, prefix = ''): LayerEntry[] {
  const names = readdirSync(directory).sort();
  return names.flatMap((base): LayerEntry[] => {
    const file = path.join(directory, base);
    const name = `${prefix}${base}`;
    const stat = lstatSync(file);
    const mode = stat.mode & 0o7777;
    if (stat.isDirectory()) return [{ name: `${name}/`, mode }, ...entriesOf(file, `${name}/`)];
    if (stat.isSymbolicLink()) return [{ name, mode, symlinkTo: readlinkSync(file) }];
    return stat.isFile() ? [{ name, mode, data: readFileSync(file) }] : [];
  });
}

function header(entry: LayerEntry, size: number): Buffer {
  const out = Buffer.alloc(block);
  const octal = (value: number, at: number, width: number): void => {
    out.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  };
  const directory = entry.name.endsWith('/');
  out.write(entry.name, 0, 100);
  octal(entry.mode ?? (directory ? 0o755 : 0o644), 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  out.write('        ', 148, 'latin1');
  out.write(kindOf(entry, directory), 156, 'latin1');
  out.write(entry.symlinkTo ?? entry.hardlinkTo ?? '', 157, 100);
  out.write('ustar\u000000', 257, 'latin1');
  octal(entry.blockDevice?.major ?? 0, 329, 8);
  octal(entry.blockDevice?.minor ?? 0, 337, 8);
  const sum = out.reduce((total, byte) => total + byte, 0);
  out.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return out;
}

function kindOf(entry: LayerEntry, directory: boolean): string {
  if (entry.symlinkTo !== undefined) return '2';
  if (entry.hardlinkTo !== undefined) return '1';
  if (entry.blockDevice !== undefined) return '4';
  if (entry.fifo === true) return '6';
  return directory ? '5' : '0';
}
