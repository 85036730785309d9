import { EventEmitter, once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { connectFirst, realWires, type Address, type Wires } from './connect-first.ts';
import { networkSentence } from './network-failure.ts';

const six = (end: number): Address => ({ address: `2001:db8::${end}`, family: 6 });
const four = (end: number): Address => ({ address: `192.0.2.${end}`, family: 4 });

class FakeSocket extends EventEmitter {
  readonly to: string;
  destroyed = false;

  constructor(to: string) {
    super();
    this.to = to;
  }

  destroy(): void {
    this.destroyed = true;
  }
}

/** A network in which nothing happens by itself. */
class Net implements Wires {
  readonly sockets: FakeSocket[] = [];
  addresses: readonly Address[] = [];

  lookup(): Promise<readonly Address[]> {
    return Promise.resolve(this.addresses);
  }

  connect({ address }: Address): Socket {
    const socket = new FakeSocket(address);
    this.sockets.push(socket);
    return socket as unknown as Socket;
  }

  get tried(): string[] {
    return this.sockets.map(({ to }) => to);
  }

  fail(index: number, code: string): void {
    this.sockets[index]!.emit('error', Object.assign(new Error('x'), { code }));
  }
}

let net: Net;
beforeEach(() => {
  net = new Net();
  jest.useFakeTimers();
});
afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

async function begin(addresses: readonly Address[], limitMs = 10_000): Promise<{ readonly done: Promise<string> }> {
  net.addresses = addresses;
  const done = connectFirst('reg.test', 443, limitMs, net).then(
    (socket) => `to ${(socket as unknown as FakeSocket).to}`,
    (error: unknown) => networkSentence(error),
  );
  await jest.advanceTimersByTimeAsync(0);
  return { done };
}

describe('a host with several addresses', () => {
  it('is tried at the next one when the first does not answer, without giving that up', async () => {
    const { done } = await begin([six(1), four(1)]);
    expect(net.tried).toEqual(['2001:db8::1']);
    await jest.advanceTimersByTimeAsync(250);
    expect(net.tried).toEqual(['2001:db8::1', '192.0.2.1']);
    await jest.advanceTimersByTimeAsync(5000);
    expect(net.sockets.map(({ destroyed }) => destroyed)).toEqual([false, false]);
    net.sockets[0]!.emit('connect');
    expect(await done).toBe('to 2001:db8::1');
    expect(net.sockets.map(({ destroyed }) => destroyed)).toEqual([false, true]);
  });

  it('is reached over the family that works, however long it takes, in whichever order they come', async () => {
    for (const addresses of [
      [four(1), six(1)],
      [six(1), six(2), four(1), four(2)],
    ]) {
      net = new Net();
      const { done } = await begin(addresses);
      await jest.advanceTimersByTimeAsync(3000);
      expect(net.tried.length).toBe(addresses.length);
      net.sockets[net.tried.indexOf('192.0.2.1')]!.emit('connect');
      expect(await done).toBe('to 192.0.2.1');
      expect(net.sockets.filter(({ destroyed }) => !destroyed).length).toBe(1);
    }
  });

  it('is tried by its families in turn, beginning with the first', async () => {
    const { done } = await begin([six(1), six(2), six(3), four(1), four(2)]);
    await jest.advanceTimersByTimeAsync(2000);
    expect(net.tried).toEqual(['2001:db8::1', '192.0.2.1', '2001:db8::2', '192.0.2.2', '2001:db8::3']);
    net.sockets[4]!.emit('connect');
    await done;
  });

  it('is tried at the next one at once when one refuses', async () => {
    const { done } = await begin([four(1), four(2)]);
    net.fail(0, 'ECONNREFUSED');
    expect(net.tried).toEqual(['192.0.2.1', '192.0.2.2']);
    net.sockets[1]!.emit('connect');
    expect(await done).toBe('to 192.0.2.2');
  });

  it('gives each its turn, however short the time is', async () => {
    const { done } = await begin([four(1), four(2), four(3), four(4)], 400);
    await jest.advanceTimersByTimeAsync(350);
    expect(net.tried.length).toBe(4);
    await jest.advanceTimersByTimeAsync(50);
    expect(await done).toContain('connection timed out (192.0.2.1: connection timed out');
    expect(net.sockets.every(({ destroyed }) => destroyed)).toBe(true);
  });

  it('says of each what went wrong, the most telling first', async () => {
    const { done } = await begin([six(1), four(1)]);
    net.fail(0, 'ENETUNREACH');
    net.fail(1, 'ECONNREFUSED');
    expect(await done).toBe('connection refused (2001:db8::1: no route to the network, 192.0.2.1: connection refused)');
  });

  it('does not mind what a loser says afterwards', async () => {
    const { done } = await begin([six(1), four(1)]);
    await jest.advanceTimersByTimeAsync(250);
    net.sockets[1]!.emit('connect');
    expect(await done).toBe('to 192.0.2.1');
    net.fail(0, 'ECONNRESET');
    net.sockets[0]!.emit('connect');
  });
});

it('one address is named by the URL alone', async () => {
  const { done } = await begin([four(1)]);
  net.fail(0, 'EHOSTUNREACH');
  expect(await done).toBe('no route to the host');
});

describe('a name', () => {
  it('that takes long to look up has the whole time for connecting afterwards', async () => {
    const found = Promise.withResolvers<readonly Address[]>();
    net.lookup = () => found.promise;
    const done = connectFirst('reg.test', 443, 1000, net);
    await jest.advanceTimersByTimeAsync(20_000);
    found.resolve([four(1)]);
    await jest.advanceTimersByTimeAsync(900);
    net.sockets[0]!.emit('connect');
    await expect(done).resolves.toBe(net.sockets[0]);
  });

  it('that nobody answers for is not waited for for ever', async () => {
    net.lookup = () => new Promise(() => undefined);
    const said = connectFirst('reg.test', 443, 1000, net).catch(networkSentence);
    await jest.advanceTimersByTimeAsync(30_000);
    expect(await said).toBe('the host name could not be looked up');
  });

  it('without addresses, and one that is not there, are told so', async () => {
    expect(await (await begin([])).done).toBe('no such host');
    net.lookup = () => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' }));
    expect(await connectFirst('reg.test', 443, 1000, net).catch(networkSentence)).toBe('no such host');
  });
});

describe('real sockets', () => {
  it('reach a name whose first address refuses', async () => {
    jest.useRealTimers();
    const server = createServer((socket) => socket.end());
    server.listen(0, '127.0.0.3');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const lookup = (): Promise<readonly Address[]> =>
      Promise.resolve(['127.0.0.2', '127.0.0.3'].map((address) => ({ address, family: 4 })));
    const socket = await connectFirst('reg.test', port, 5000, { ...realWires, lookup });
    expect(socket.remoteAddress).toBe('127.0.0.3');
    socket.destroy();
    server.close();
    await once(server, 'close');
    jest.useFakeTimers();
  });
});
