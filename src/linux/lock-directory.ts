import { constants, fstatSync, readFileSync } from 'node:fs';
import { BerthError } from '#base/errors';
import type { Addon } from './addon.ts';
import type { Fd } from './fd.ts';
import { ownFd } from './own-fd.ts';

/**
 * Makes a directory this process's own until the result is disposed or the process ends; needs no room on its disk.
 *
 * @throws STATE_LOCKED naming the process that has it
 */
export function lockDirectory(addon: Pick<Addon, 'open' | 'close' | 'lock'>, directory: string): Fd {
  const held = ownFd(addon, addon.open(directory, constants.O_DIRECTORY, 0));
  if (addon.lock(held.number)) return held;
  const pid = holderOf(held.number);
  held[Symbol.dispose]();
  const who = pid === undefined ? '' : ` (pid ${pid})`;
  const advice = 'end that one first (berth shutdown, systemctl stop berthd), or give this one another root';
  throw new BerthError('STATE_LOCKED', `another berthd${who} owns ${directory}: ${advice}`);
}

/** Undefined: it has let go by now, or is in a pid namespace that cannot be seen from here. */
function holderOf(fd: number): number | undefined {
  try {
    const { ino } = fstatSync(fd, { bigint: true });
    return findHolder(readFileSync('/proc/locks', 'utf8'), ino);
  } catch {
    return undefined;
  }
}

/**
 * Reads /proc/locks: "1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF". The device is left out of it: that of a file and that
 * of its lock differ on some file systems.
 */
export function findHolder(locks: string, inode: bigint): number | undefined {
  for (const line of locks.split('\n')) {
    const [, pid, ino] = /: FLOCK +ADVISORY +WRITE +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line) ?? [];
    if (ino !== undefined && BigInt(ino) === inode && Number(pid) > 0) return Number(pid);
  }
  return undefined;
}
