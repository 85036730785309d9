import type { Addon } from './addon.ts';
import { Fd } from './fd.ts';

/** A descriptor the addon gave, with an owner. */
export function ownFd(addon: Pick<Addon, 'close'>, fd: number): Fd {
  return new Fd(fd, (number) => addon.close(number));
}

/** Both ends of a pipe, with owners. */
export function ownPipe(addon: Pick<Addon, 'close' | 'pipe'>): { readonly read: Fd; readonly write: Fd } {
  const ends = addon.pipe();
  return { read: ownFd(addon, ends.read), write: ownFd(addon, ends.write) };
}
