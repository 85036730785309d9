import { constants as files } from 'node:fs';
import { Socket } from 'node:net';
import { constants as system } from 'node:os';

import type { Ctx } from '#base/ctx';

import type { Addon, ProcessExit } from './addon.ts';
import type { Fd } from './fd.ts';
import { ownFd, ownPipe } from './own-fd.ts';

export type ProcessAddon = Pick<Addon, 'spawn' | 'pipe' | 'open' | 'close' | 'waitPidfd' | 'pidfdSendSignal'>;

export interface ProcessCommand {
  readonly path: string;
  readonly argv: readonly string[];
  /** The whole environment, NAME=value. */
  readonly env: readonly string[];
  /** What it reads; nothing when missing. */
  readonly stdin?: string | Uint8Array;
  /**
   * Bytes that are kept of stdout, and of stderr. The rest is read, so that the process does not wait, and dropped; who
   * writes 16 MiB will not stop by himself, and is killed.
   */
  readonly limit: number;
}

export interface ProcessOutput extends ProcessExit {
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

/** So much is read before it is thought that there will be no end. */
const floodBytes = 16 * 1024 * 1024;

/**
 * Runs a program to its end and gives its exit and what it wrote. When `ctx` ends the program is killed, with those it
 * started unless they left its process group, and the reason thrown. A program that cannot be started is the addon's error (`code` ENOENT, EACCES…); a failing exit is a result.
 */
export async function runProcess(ctx: Ctx, addon: ProcessAddon, command: ProcessCommand): Promise<ProcessOutput> {
  ctx.signal.throwIfAborted();
  using devNull = ownFd(addon, addon.open('/dev/null', files.O_RDONLY, 0));
  const input = command.stdin === undefined ? undefined : ownPipe(addon);
  using inputRead = input?.read;
  using inputWrite = input?.write;
  const { read: outRead, write: outWrite } = ownPipe(addon);
  using out = outRead;
  using outEnd = outWrite;
  const { read: errRead, write: errWrite } = ownPipe(addon);
  using err = errRead;
  using errEnd = errWrite;
  const child = addon.spawn({
    path: command.path,
    argv: command.argv,
    env: command.env,
    fds: [(inputRead ?? devNull).number, outEnd.number, errEnd.number],
  });
  using pidfd = ownFd(addon, child.pidfd);
  // Without our copies of the child's ends its exit is the end of the streams.
  for (const end of [inputRead, outEnd, errEnd]) end?.[Symbol.dispose]();
  const exited = addon.waitPidfd(pidfd.number);
  const sockets = [stream(out), stream(err)];
  const stdin = inputWrite && feed(inputWrite, command.stdin ?? '');
  let reaped = false;
  void exited.then(
    () => (reaped = true),
    () => undefined,
  );
  const kill = (): void => {
    // It leads a session of its own; while it is not reaped no other group can have its number.
    if (!reaped) killGroup(child.pid);
    addon.pidfdSendSignal(pidfd.number, system.signals.SIGKILL);
    // A grandchild that holds a pipe open must not keep us.
    for (const socket of [...sockets, stdin]) socket?.destroy();
  };
  ctx.signal.addEventListener('abort', kill, { once: true });
  try {
    const [exit, ...texts] = await Promise.all([
      exited,
      ...sockets.map((socket) => collect(socket, command.limit, kill)),
    ]);
    ctx.signal.throwIfAborted();
    const [stdout, stderr] = texts;
    const truncated = texts.some((text) => text.truncated);
    return { ...exit, stdout: stdout?.text ?? '', stderr: stderr?.text ?? '', truncated };
  } finally {
    ctx.signal.removeEventListener('abort', kill);
    stdin?.destroy();
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // It ended just now.
  }
}

function stream(end: Fd): Socket {
  return new Socket({ fd: end.take(), readable: true, writable: false });
}

function feed(end: Fd, data: string | Uint8Array): Socket {
  const socket = new Socket({ fd: end.take(), readable: false, writable: true });
  // EPIPE: it does not read to the end, which is its own affair.
  socket.on('error', () => undefined);
  socket.end(data);
  return socket;
}

async function collect(
  socket: Socket,
  limit: number,
  onFlood: () => void,
): Promise<{ readonly text: string; readonly truncated: boolean }> {
  const kept: Buffer[] = [];
  let size = 0;
  let read = 0;
  let truncated = false;
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    const room = limit - size;
    read += chunk.length;
    if (read > floodBytes) onFlood();
    truncated ||= chunk.length > room;
    if (room <= 0) return;
    kept.push(chunk.subarray(0, room));
    size += Math.min(chunk.length, room);
  });
  await closed;
  return { text: Buffer.concat(kept).toString('utf8'), truncated };
}
