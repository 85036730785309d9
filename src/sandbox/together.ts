/**
 * Waits until all have ended, then throws what the first failed with: unlike Promise.all it leaves nothing running behind
 * an error, so that what follows (an undo) does not race with it.
 */
export async function together<T extends readonly unknown[]>(
  promises: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const results = await Promise.allSettled(promises);
  for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as {
    -readonly [K in keyof T]: Awaited<T[K]>;
  };
}
