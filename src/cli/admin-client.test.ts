import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { AdminClient, type AdminLine } from './admin-client.ts';
import { explain } from './failure.ts';

let directory: string;
let socket: string;
let server: http.Server;
let answer: (response: http.ServerResponse) => void;
beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-admin-'));
  socket = path.join(directory, 'a.sock');
  server = http.createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

test('lines are handed over as they come, however they are cut', async () => {
  answer = (response) => {
    response.write('{"progress":{"bytes":1}}\n{"prog');
    setImmediate(() => response.end('ress":{"bytes":2}}\n{"images":["x"]}'));
  };
  const lines: AdminLine[] = [];
  const last = await new AdminClient(socket).call('POST', '/images/load', { path: '/x' }, (line) => lines.push(line));
  expect(lines).toHaveLength(3);
  expect(last).toEqual({ images: ['x'] });
});

test('an error of berthd keeps its code and sentence', async () => {
  answer = (response) => {
    response.statusCode = 400;
    response.end('{"error":{"code":"IMAGE_INVALID","message":"layer 1 is truncated"}}\n');
  };
  await expect(new AdminClient(socket).call('GET', '/check')).rejects.toMatchObject({
    code: 'IMAGE_INVALID',
    message: 'layer 1 is truncated',
  });
});

test('a daemon that is not there is said with where and what to do', async () => {
  const missing = path.join(directory, 'none.sock');
  const error = await new AdminClient(missing).check().catch((failure: unknown) => failure);
  const { text, exitCode } = explain(error, missing);
  expect(text).toContain(`cannot reach berthd at ${missing} (ENOENT)`);
  expect(text).toContain('start it');
  expect(exitCode).toBe(125);
});
