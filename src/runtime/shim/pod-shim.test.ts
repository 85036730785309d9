import { afterEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '#base/log';
import { Fd } from '#linux/fd';
import { encodeFrame, FrameReader, frameType } from './frame.ts';
import { PodShim } from './pod-shim.ts';

// A shim made of a socket: it says which pid pause has, whenever it is asked.

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const never = new AbortController().signal;

interface Played {
  readonly shim: PodShim;
  /** Descriptors of /proc/<pid> that are open, by pid. */
  readonly open: Set<number>;
  readonly ended: number[];
  /** What the shim answers. */
  says: number;
}

async function play(says: number): Promise<Played> {
  const directory = await mkdtemp(path.join(tmpdir(), 'bs-'));
  cleanups.push(() => rm(directory, { recursive: true }));
  const server = net.createServer();
  cleanups.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(path.join(directory, 's'), resolve));
  server.on('connection', (socket) => {
    cleanups.push(() => socket.destroy());
    const reader = new FrameReader();
    socket.on('data', (chunk: Buffer) => {
      for (const { stream } of reader.push(chunk)) {
        // Response { state { pause_pid } }: fields 7 and 2.
        const state = Buffer.from([0x10, played.says]);
        socket.write(
          encodeFrame(frameType.response, stream, Buffer.concat([Buffer.from([0x3a, state.length]), state])),
        );
      }
    });
  });
  const open = new Set<number>();
  const ended: number[] = [];
  const shim = new PodShim({
    podId: 'p1',
    directory: new Fd(1000, () => undefined),
    socket: net.connect(path.join(directory, 's')),
    buildId: 'test',
    log: silentLogger,
    onEvent: () => undefined,
    onGone: () => undefined,
    onPauseEnded: () => ended.push(1),
    openPause: (pid) => {
      open.add(pid);
      return new Fd(pid, () => open.delete(pid));
    },
  });
  cleanups.push(() => shim[Symbol.dispose]());
  const played: Played = { shim, open, ended, says };
  return played;
}

describe('pause by descriptor', () => {
  test('is opened once, when it is first needed, and closed with the connection', async () => {
    const { shim, open } = await play(77);
    shim.pausePid = 77;
    expect(open.size).toBe(0);
    const first = await shim.pauseDirectory(never);
    expect(first?.number).toBe(77);
    expect(await shim.pauseDirectory(never)).toBe(first);
    shim[Symbol.dispose]();
    await new Promise((resolve) => setImmediate(resolve));
    expect([...open]).toEqual([]);
  });

  test('a number that was somebody else’s by the time it was opened is let go again', async () => {
    const played = await play(0);
    const { shim, open, ended } = played;
    shim.pausePid = 77;
    expect(await shim.pauseDirectory(never)).toBeUndefined();
    expect([...open]).toEqual([]);
    expect(ended).toEqual([1]);
    expect(shim.pausePid).toBe(0);
  });

  test('is gone for good when the shim has told its end, also for who reads its number late', async () => {
    const { shim, open, ended } = await play(77);
    shim.pauseEnded();
    shim.pauseEnded();
    shim.pausePid = 77;
    expect(shim.pausePid).toBe(0);
    expect(await shim.pauseDirectory(never)).toBeUndefined();
    expect([...open]).toEqual([]);
    expect(ended).toEqual([1]);
  });

  test('what was lent is closed when pause dies', async () => {
    const { shim, open } = await play(77);
    shim.pausePid = 77;
    const lent = await shim.pauseDirectory(never);
    shim.pauseEnded();
    await new Promise((resolve) => setImmediate(resolve));
    expect(lent?.open).toBe(false);
    expect([...open]).toEqual([]);
  });
});
