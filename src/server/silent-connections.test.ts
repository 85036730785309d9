import { EventEmitter } from 'node:events';
import net, { type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock, type Clock } from '#base/clock';
import { createMetrics } from '#base/metrics';
import { recordingLog, startTestServer, type LogLine } from './cri-server.fixture.ts';
import { connectionMetrics, ServedConnections } from './served-connections.ts';

// Connections that take a place and never speak. In a test: 4096 of them kept every new client away for an hour.

const handshake = { bytes: 33, ms: 120_000 };

class FakeSocket extends EventEmitter {
  bytesRead = 0;
  destroyed = false;

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    queueMicrotask(() => this.emit('close'));
  }
}

class Bench {
  readonly lines: LogLine[] = [];
  readonly served: unknown[] = [];
  readonly refused: unknown[] = [];
  readonly #connections: ServedConnections;

  constructor(limit: number, waiting = { limit: 2, ms: 10_000 }) {
    this.#connections = new ServedConnections({
      ...{ server: 'cri', limit, remedy: 'none', handshake, waiting },
      serve: (socket) => void this.served.push(socket),
      refuse: (socket) => void this.refused.push(socket),
      log: recordingLog(this.lines),
      clock: { ...systemClock, monotonicMs: () => Date.now() },
      metrics: connectionMetrics(createMetrics()),
    });
  }

  add(bytesRead = 0): FakeSocket {
    const socket = new FakeSocket();
    socket.bytesRead = bytesRead;
    this.#connections.add(socket as unknown as Socket);
    return socket;
  }

  get cut(): unknown[] {
    return this.lines.filter(({ message }) => message.includes('said nothing'));
  }
}

describe('by the clock', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());
  const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

  test('one that has said nothing, or less than a handshake, is closed in two minutes; one that has spoken stays', async () => {
    const bench = new Bench(10);
    const [silent, half, spoke] = [bench.add(), bench.add(32), bench.add()];
    await pass(1_000);
    spoke.bytesRead = 33;
    await pass(119_000);
    expect([silent.destroyed, half.destroyed, spoke.destroyed]).toEqual([true, true, false]);
    expect(bench.cut).toHaveLength(1);
    await pass(3_600_000);
    expect(spoke.destroyed).toBe(false);
  });

  test('one that comes when all are silent gets the place of the first of them', async () => {
    const bench = new Bench(3);
    const spoke = bench.add(33);
    const silent = [bench.add(), bench.add()];
    await pass(5_000);
    const late = bench.add(33);
    expect(bench.served).toContain(late);
    expect([spoke, ...silent].map(({ destroyed }) => destroyed)).toEqual([false, true, false]);
  });

  test('a crowd that waits as silently keeps nobody away for longer', async () => {
    const bench = new Bench(3);
    const crowd = Array.from({ length: 5 }, () => bench.add());
    await pass(5_000);
    const late = bench.add(33);
    expect(bench.served).toContain(late);
    expect(crowd.map(({ destroyed }) => destroyed)).toEqual([true, true, true, false, false]);
    expect(bench.refused).toEqual([]);
  });

  test('one that waits longer than they may be silent is served, not refused', async () => {
    const bench = new Bench(1);
    const silent = bench.add();
    await pass(1_000);
    const late = bench.add(33);
    await pass(10_000);
    expect([silent.destroyed, bench.served, bench.refused]).toEqual([true, [silent, late], []]);
  });

  test('whoever has just come, or has spoken, keeps the place', async () => {
    const bench = new Bench(2);
    const spoke = bench.add(33);
    await pass(60_000);
    const young = bench.add();
    await pass(4_999);
    const late = bench.add(33);
    expect([spoke.destroyed, young.destroyed, bench.served.includes(late)]).toEqual([false, false, false]);
  });
});

describe('real connections', () => {
  const clients: Socket[] = [];
  // Also of a test whose time is up: it goes on when its clients are gone, and closes its server.
  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
  });
  const connect = (socket: string): Socket => {
    const client = net.connect(socket).resume();
    clients.push(client);
    return client;
  };

  test('a client has spoken, and those that say nothing make way for another', async () => {
    let ms = 0;
    const clock: Clock = { ...systemClock, monotonicMs: () => ms };
    await using server = await startTestServer({ config: { maxConnections: 3 }, clock });
    await server.client.images.listImages({});
    const silent = [connect(server.socket), connect(server.socket)];
    const closed = Promise.race(silent.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    for (const socket of silent) await new Promise((resolve) => socket.write('PRI * HTTP/2.0\r\n', resolve));
    // They are served before the next one comes: the server takes connections in their order.
    await server.client.images.listImages({});
    ms = 5_000;
    connect(server.socket);
    await closed;
    await expect(server.client.images.listImages({})).resolves.toEqual({ images: [] });
  });
});
