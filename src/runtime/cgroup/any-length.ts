import type { Addon, FileOperation, FileResult } from '#linux/addon';

/** Operations of one trip; the addon takes 4096, and who waits behind us has his turn between two of ours. */
const tripLimit = 1024;

/**
 * The addon with batches of any length: how many groups there are, and rules for devices, is what a pod's author makes it.
 * As in one batch, nothing is done after a failure that counts.
 */
export function withAnyLength(addon: Addon): Addon {
  return { ...addon, batch: (operations) => inTrips(addon, operations) };
}

async function inTrips(addon: Pick<Addon, 'batch'>, operations: readonly FileOperation[]): Promise<FileResult[]> {
  if (operations.length <= tripLimit) return addon.batch(operations);
  const results: FileResult[] = [];
  for (let at = 0; at < operations.length; at += tripLimit) {
    const some = operations.slice(at, at + tripLimit);
    const done = await addon.batch(some);
    results.push(...done);
    if (!done.some(({ error }, index) => error !== undefined && !isTolerated(some[index], error))) continue;
    return [...results, ...operations.slice(results.length).map(() => ({ error: 'ECANCELED' }))];
  }
  return results;
}

/** Whether the batch goes on after it. */
export function isTolerated(operation: FileOperation | undefined, error: string): boolean {
  return operation?.optional === true || (Array.isArray(operation?.optional) && operation.optional.includes(error));
}
