import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { duplexPair, type Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import protobuf from 'protobufjs';
import { createCtx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { loadAddon } from '#linux/load';
import { execSync } from './exec-sync.ts';
import { OutputBudget } from './output-budget.ts';
import type { RuntimeParts } from './runtime-parts.ts';
import { encodeFrame, frameType } from './shim/frame.ts';
import { descriptor } from './shim/gen/descriptor.ts';
import type { Request } from './shim/gen/berth/shim/Request.ts';
import { Places } from './shim/places.ts';

const root = protobuf.Root.fromJSON(JSON.parse(descriptor) as protobuf.INamespace);

function encode(type: 'Response' | 'Event', message: object): Uint8Array {
  const of = root.lookupType(`berth.shim.${type}`);
  return of.encode(of.fromObject(message)).finish();
}

const ends: number[] = [];
afterEach(() => ends.splice(0).forEach((fd) => closeSync(fd)));

/** A shim that starts what it is asked to, as process 42, and knows nothing of its end. */
function shimOfOne(outputs = new OutputBudget()) {
  const asked: Request[] = [];
  const addon = loadAddon();
  let theirs: Duplex | undefined;
  let stdout = -1;
  const connectWith = (_pod: string, _directory: unknown, _frame: Uint8Array, fds: readonly number[]): Duplex => {
    const [ours, other] = duplexPair();
    theirs = other.resume();
    stdout = openSync(`/proc/self/fd/${fds[1]}`, constants.O_WRONLY | constants.O_NONBLOCK);
    ends.push(stdout);
    other.write(encodeFrame(frameType.response, 1, encode('Response', { exec_started: { pid: 42 } })));
    return ours;
  };
  const shim = {
    ...{ connected: true, features: new Set(['reserved-places']), places: new Places(), requestLimit: 1 << 20 },
    directory: {},
    watch: { during: <T>(call: Promise<T>): Promise<T> => call },
    call: async (request: Request) => void asked.push(request),
  };
  const parts = { addon, outputs, launcher: { connectWith, devNull: 0 }, shims: new Map([['pod', shim]]) };
  const none = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };
  const process = {
    ...{ terminal: false, args: [], env: [], cwd: '/', rlimits: [], noNewPrivileges: false, capabilities: none },
    user: { uid: 0, gid: 0, umask: 0o22, additionalGids: [] },
  };
  const run = (timeoutMs: number, ctx = createCtx()) =>
    execSync(parts as unknown as RuntimeParts, ctx, 'pod', 'c', {
      ...{ args: ['cat'], timeoutMs, outputLimit: 16 << 20 },
      spec: { process, linux: {} } as never,
    });
  return {
    ...{ asked, outputs, run },
    /** As the command. False: nobody reads it. */
    says: (bytes: number): boolean => {
      try {
        return writeSync(stdout, Buffer.alloc(bytes)) > 0;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EAGAIN';
      }
    },
    exits: (exit: object) =>
      theirs?.write(encodeFrame(frameType.event, 0, encode('Event', { exec_exited: { exec_id: 'x', ...exit } }))),
    left: () => theirs?.readableEnded === true || theirs?.destroyed === true,
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000 && !condition(); tries++) await delay(5);
  expect(condition()).toBe(true);
}

describe('a command whose process does not end when it is killed', () => {
  test('is answered soon after its time, and berthd keeps nothing of it', async () => {
    const shim = shimOfOne();
    await expect(shim.run(50)).resolves.toMatchObject({ timedOut: true, hangingPid: 42, stdout: Buffer.alloc(0) });
    await until(() => !shim.says(1));
    await until(shim.left);
    expect(shim.outputs.total).toBe(0);
  });

  test('that has no time-out waits for its caller to leave', async () => {
    const shim = shimOfOne();
    using leaving = new Deadline(1_500, 'the call');
    await expect(shim.run(0, createCtx({ signal: leaving.signal }))).rejects.toMatchObject({
      message: 'the call did not finish in 1500 ms',
    });
    expect(shim.asked).toEqual([{ kill_exec: { exec_id: expect.any(String) } }]);
  });

  test('is told apart from one that ended when it was killed', async () => {
    const shim = shimOfOne();
    const running = shim.run(50);
    await delay(60);
    shim.exits({ exit_code: 137, timed_out: true });
    const result = await running;
    expect(result).toMatchObject({ timedOut: true });
    expect(result).not.toHaveProperty('hangingPid');
  });
});

describe('output that is more than berthd has room for', () => {
  test('ends its command, is let go, and is read no longer', async () => {
    const shim = shimOfOne(new OutputBudget(100_000, 1000));
    const running = shim.run(0);
    running.catch(() => undefined);
    await until(() => {
      shim.says(65_536);
      return shim.asked.length > 0;
    });
    await expect(running).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: expect.stringMatching(/^exec in container c: its output was the largest/),
    });
    expect(shim.asked).toEqual([{ kill_exec: { exec_id: expect.any(String) } }]);
    expect(shim.says(1)).toBe(false);
    expect(shim.outputs.total).toBe(0);
  });

  test('is given back when the command has ended', async () => {
    const shim = shimOfOne(new OutputBudget(1 << 20, 1000));
    const running = shim.run(0);
    let said = false;
    await until(() => (said ||= shim.says(60_000)));
    await until(() => shim.outputs.total > 0);
    closeSync(ends.pop() ?? -1);
    shim.exits({ exit_code: 0 });
    const { stdout, exitCode } = await running;
    expect([stdout.length, exitCode, shim.outputs.total]).toEqual([60_000, 0, 0]);
  });
});
