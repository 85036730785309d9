import { statfsSync } from 'node:fs';

/** Of a file system whose directories are all Berth's own: nobody else's path is looked at without a deadline. */
export interface FreeSpace {
  /** "24.6 kB of 25.1 MB are free on the file system of /var/lib/berth". */
  readonly text: string;
  /** Less than a tenth, and less than 16 MiB; or nothing to name files with. */
  readonly full: boolean;
}

const littleBytes = 16 * 1024 * 1024;

/** Undefined where it cannot be told. */
export function freeSpace(directory: string): FreeSpace | undefined {
  try {
    const { bavail, blocks, bsize, ffree, files } = statfsSync(directory);
    const free = bavail * bsize;
    const noFiles = files > 0 && ffree === 0;
    const inodes = noFiles ? ', and no inode for another file' : '';
    const text = `${size(free)} of ${size(blocks * bsize)} are free on the file system of ${directory}${inodes}`;
    return { text, full: noFiles || (free < littleBytes && bavail < blocks / 10) };
  } catch {
    return undefined;
  }
}

/** The ones that are full of these directories, as "24.6 kB of ... are free ..."; "" when none is. */
export function fullDisks(directories: readonly string[]): string {
  const texts = directories.flatMap((directory) => {
    const space = freeSpace(directory);
    return space?.full === true ? [space.text] : [];
  });
  return texts.join(', ');
}

/** For an owner who asks what is wrong; none when there is room. */
export function fullDiskLines(directories: readonly string[]): readonly string[] {
  const full = fullDisks(directories);
  return full === '' ? [] : [`a disk is full: ${full}; make room there: what needs it is refused, the rest goes on`];
}

function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}
