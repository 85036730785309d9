import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { silentLogger } from '#base/log';
import { adopt } from './adopt.ts';
import type { RuntimeParts } from './runtime-parts.ts';

const ctx = createCtx();
const podId = 'a'.repeat(64);
const container = { podId, id: 'b'.repeat(64), cgroupPath: '/berth/b' };

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A pod whose shim cannot be connected to, for `errno`; the kills of its groups end when `killed` does. */
function unconnected(errno: string, killed: Promise<void>): RuntimeParts {
  const parts: unknown = {
    cgroups: {
      kill: (own: typeof ctx) => raceSignal(killed, own.signal),
      remove: () => Promise.resolve(),
      processes: () => Promise.resolve([]),
    },
    directories: {
      open: () => {
        throw Object.assign(new Error('the socket'), { code: errno });
      },
      exits: () => Promise.resolve(new Map()),
    },
    shims: new Map(),
    shimCgroupParent: '/berth/shims',
    closing: new AbortController().signal,
    log: silentLogger,
  };
  return parts as RuntimeParts;
}

test('a dead shim whose pod has processes that hang in the kernel is told as dead all the same', async () => {
  const never = new Promise<void>(() => undefined);
  const adopting = adopt(unconnected('ECONNREFUSED', never), ctx, [podId], [container]);
  await jest.advanceTimersByTimeAsync(1_000);
  const [found] = await adopting;
  if (found?.shim !== 'silent') throw new Error('it was waited for');
  await jest.advanceTimersByTimeAsync(60_000);
  await expect(found.later).resolves.toMatchObject({ podId, shim: 'dead' });
});
