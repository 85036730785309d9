import { duplexPair } from 'node:stream';
import { expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { recordingLog } from '../cri-server.fixture.ts';
import { forward } from './port-forward.ts';

test('a client that leaves while its port is dialled leaves no connection behind', async () => {
  const [data] = duplexPair();
  const [error, client] = duplexPair();
  const [remote] = duplexPair();
  const dialled = Promise.withResolvers<typeof remote>();
  const ctx = createCtx({ log: recordingLog([]), requestId: 'x' });
  const done = forward(ctx, { port: 80, data, error, dial: () => dialled.promise });
  data.destroy();
  await new Promise((resolve) => data.once('close', resolve));
  dialled.resolve(remote);
  await done;
  expect(remote.destroyed).toBe(true);
  client.resume();
  expect(error.writableEnded).toBe(true);
});
