/** Thrown when something did not come about in time; says what and how far it got. */
export class NotInTime extends Error {
  override readonly name = 'NotInTime';
}

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Asks again until the answer is neither undefined nor false. Errors of `ask` count as "not yet"; the last one is told
 * when time is up.
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 10_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const because = last instanceof Error ? `: ${last.message}` : '';
      throw new NotInTime(`not within ${timeoutMs} ms: ${what}${because}`);
    }
    await delay(20);
  }
}

/** Waits for a promise, but not for ever. */
export async function within<T>(what: string, timeoutMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new NotInTime(`not within ${timeoutMs} ms: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
