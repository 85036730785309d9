import net from 'node:net';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { scratchDirectory } from './cri-server.fixture.ts';
import { onlyUsers } from './peers.ts';

test('asks about the descriptor of the connection', async () => {
  const file = path.join(scratchDirectory(), 's');
  const accepted = Promise.withResolvers<net.Socket>();
  const server = net.createServer(accepted.resolve).listen(file);
  const client = net.connect(file);
  const socket = await accepted.promise;
  const asked: number[] = [];
  const uidOf = (fd: number): number => {
    asked.push(fd);
    return 7;
  };
  expect(onlyUsers([0, 7], uidOf)(socket)).toBe(true);
  expect(onlyUsers([0], uidOf)(socket)).toBe(false);
  expect(asked).toEqual([expect.any(Number), expect.any(Number)]);
  expect(asked[0]).toBeGreaterThan(2);
  client.destroy();
  socket.destroy();
  expect(onlyUsers([0, 7], uidOf)(socket)).toBe(false);
  server.close();
});
