import { existsSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { output } from './command.ts';
import { busyboxArchive, top } from './paths.ts';

/** The image archive made of Debian's busybox; built once into the cache. */
export async function ensureBusybox(): Promise<string> {
  if (existsSync(busyboxArchive)) return busyboxArchive;
  mkdirSync(path.dirname(busyboxArchive), { recursive: true });
  const fresh = `${busyboxArchive}.${process.pid}`;
  await output([process.execPath, '-C', 'berth-src', 'tools/busybox-image.ts', '/bin/busybox', fresh], { cwd: top });
  renameSync(fresh, busyboxArchive);
  return busyboxArchive;
}
