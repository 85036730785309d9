import type net from 'node:net';

/**
 * Lets in the peers of these users only. The kernel knows who connected; a socket's mode alone would let in whoever got
 * hold of a descriptor.
 *
 * @param uidOf asks the kernel (SO_PEERCRED)
 */
export function onlyUsers(
  uids: readonly number[],
  uidOf: (socketFd: number) => number,
): (socket: net.Socket) => boolean {
  return (socket) => {
    const fd = descriptorOf(socket);
    return fd !== undefined && uids.includes(uidOf(fd));
  };
}

/** Node names no way to a socket's descriptor, but its handle has had it since the beginning. */
function descriptorOf(socket: net.Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null };
  const fd = handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
