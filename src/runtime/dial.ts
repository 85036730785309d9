import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { tellErrno } from '#base/errno-words';
import { BerthError, errnoOf } from '#base/errors';
import type { Addon } from '#linux/addon';
import { Fd } from '#linux/fd';
import { type RuntimeParts, shimOf } from './runtime-parts.ts';
import type { PodShim } from './shim/pod-shim.ts';

/** In this order: most servers listen on IPv4 or on both. */
const loopbacks = [
  { family: 4, host: '127.0.0.1' },
  { family: 6, host: '::1' },
] as const;

/** Connects to a port on the loopback of the pod's network, which for a pod of the node's network is the node's. */
export async function dial(parts: RuntimeParts, ctx: Ctx, podId: string, port: number): Promise<Duplex> {
  const { addon } = parts;
  const shim = shimOf(parts, podId);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new BerthError('INVALID_ARGUMENT', `port ${port} is not between 1 and 65535`);
  }
  using netns = await openNetns(addon, shim, ctx.signal);
  const refusals: string[] = [];
  for (const { family, host } of loopbacks) {
    try {
      return await connect(ctx, await addon.socketInNetns(netns.number, family), host, port);
    } catch (error) {
      ctx.signal.throwIfAborted();
      refusals.push(`${host}: ${tellErrno(errnoOf(error) ?? String(error))}`);
    }
  }
  throw new BerthError('UNAVAILABLE', `nobody listens on port ${port} of pod ${podId} (${refusals.join('; ')})`);
}

/** The network namespace of the pod's pause. @throws SHIM_DIED when that has died */
export async function openNetns(addon: Addon, shim: PodShim, signal: AbortSignal): Promise<Fd> {
  const gone = `pod ${shim.podId} is not running: what held its network has died`;
  const pause = await shim.pauseDirectory(signal);
  if (!pause) throw new BerthError('SHIM_DIED', gone);
  try {
    return new Fd(addon.open(`/proc/self/fd/${pause.number}/ns/net`, 0, 0), (fd) => addon.close(fd));
  } catch (cause) {
    throw new BerthError('SHIM_DIED', gone, { cause });
  }
}

async function connect(ctx: Ctx, fd: number, host: string, port: number): Promise<Socket> {
  const socket = new Socket(notYetConnected(fd));
  // For good: a reset is told by the end and the close that follow, and must never be an error nobody listens to.
  socket.on('error', () => undefined);
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve();
    });
  });
  try {
    socket.connect({ host, port });
    socket.setNoDelay(true);
    await raceSignal(connected, ctx.signal);
    return socket;
  } catch (error) {
    connected.catch(() => undefined);
    socket.destroy();
    throw error;
  }
}

/** Half-closed by each side when it likes. Without `manualStart` Node would read from it at once, and fail. */
function notYetConnected(fd: number): SocketConstructorOpts {
  return { fd, allowHalfOpen: true, manualStart: true } as SocketConstructorOpts;
}
