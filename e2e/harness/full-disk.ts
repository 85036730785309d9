import { closeSync, ftruncateSync, fstatSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { Berthd } from './berthd.ts';

const page = Buffer.alloc(4096);

/**
 * Fills the tmpfs below a directory of the node, but for so many pages. Disposed, it gives the room back.
 */
export function fill(berthd: Berthd, directory: string, pages = 0): Disposable {
  // The tmpfs is the node's alone: it is reached through its holder's root.
  const file = path.join(`/proc/${berthd.node.pid}/root`, directory, 'filler');
  const filler = openSync(file, 'a');
  try {
    const chunk = Buffer.alloc(1 << 20);
    for (const piece of [chunk, page]) while (writes(filler, piece));
    if (pages > 0) ftruncateSync(filler, Math.max(0, fstatSync(filler).size - pages * page.length));
  } finally {
    closeSync(filler);
  }
  return { [Symbol.dispose]: () => rmSync(file, { force: true }) };
}

function writes(file: number, bytes: Buffer): boolean {
  try {
    return writeSync(file, bytes) === bytes.length;
  } catch {
    return false;
  }
}
