import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { RuntimeParts } from './runtime-parts.ts';
import { askNowAndThen, silentShims } from './silent-shims.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** Shims by whether they answer, and how often each was asked. */
function partsWith(shims: Readonly<Record<string, boolean>>) {
  const asked: string[] = [];
  const closing = new AbortController();
  const entries = Object.entries(shims).map(([podId, alive]) => {
    const answers = async (): Promise<boolean> => {
      asked.push(podId);
      return alive;
    };
    return [podId, { connected: podId !== 'gone', watch: { answers, silence: `${podId} is silent` } }] as const;
  });
  const parts = { shims: new Map(entries), closing: closing.signal } as unknown as RuntimeParts;
  return { parts, asked, closing };
}

test('every connected shim is asked, and those that do not answer are told', async () => {
  const { parts, asked } = partsWith({ a: true, b: false, gone: false });
  expect(await silentShims(parts)).toEqual(['b is silent']);
  expect(asked).toEqual(['a', 'b']);
});

test('all are asked once a minute though nobody calls, until berthd lets go', async () => {
  const { parts, asked, closing } = partsWith({ a: true });
  askNowAndThen(parts);
  await jest.advanceTimersByTimeAsync(180_000);
  expect(asked).toHaveLength(3);
  closing.abort();
  await jest.advanceTimersByTimeAsync(180_000);
  expect(asked).toHaveLength(3);
});
