import { readFileSync } from 'node:fs';

const atPageSize = 6n; // AT_PAGESZ of getauxval(3)
const usual = 4096;

/** Bytes of a page of memory, from the auxiliary vector: pairs of numbers in the machine's own form. */
export function pageSize(vector: Uint8Array = readVector()): number {
  const view = new DataView(vector.buffer, vector.byteOffset, vector.byteLength);
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    if (view.getBigUint64(at, true) === atPageSize) return Number(view.getBigUint64(at + 8, true));
  }
  return usual;
}

function readVector(): Uint8Array {
  try {
    return readFileSync('/proc/self/auxv');
  } catch {
    return new Uint8Array();
  }
}
