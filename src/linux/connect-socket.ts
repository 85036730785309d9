import { Socket } from 'node:net';

import type { Addon } from './addon.ts';

/**
 * Connects to the unix socket `name` in a directory that is held open: the whole path may be longer than the 107 bytes a
 * unix address has, where libuv would cut it and talk to somebody else. Throws the addon's error (ENOENT, ECONNREFUSED,
 * EAGAIN when the listener's queue is full).
 */
export function connectSocket(addon: Pick<Addon, 'connectUnix'>, directoryFd: number, name: string): Socket {
  return new Socket({ fd: addon.connectUnix(directoryFd, name), readable: true, writable: true });
}
