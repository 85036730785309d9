import { constants } from 'node:fs';
import { BerthError } from '#base/errors';
import type { Addon } from './addon.ts';
import type { Fd } from './fd.ts';
import { ownFd } from './own-fd.ts';

/**
 * Makes a directory this process's own until the result is disposed or the process ends; needs no room on its disk.
 *
 * @throws STATE_LOCKED
 */
export function lockDirectory(addon: Pick<Addon, 'open' | 'close' | 'lock'>, directory: string): Fd {
  const held = ownFd(addon, addon.open(directory, constants.O_DIRECTORY, 0));
  if (addon.lock(held.number)) return held;
  held[Symbol.dispose]();
  throw new BerthError('STATE_LOCKED', `another berthd owns ${directory}`);
}
