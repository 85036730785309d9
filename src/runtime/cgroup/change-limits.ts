import { BerthError } from '#base/errors';
import type { Addon, FileOperation } from '#linux/addon';
import { failure, firstFailure } from './tree.ts';

export type LimitWrite = Extract<FileOperation, { op: 'write' }>;

/** The values that the files have now, as they would be written: "max 100000". Undefined: not readable. */
export async function presentValues(
  addon: Pick<Addon, 'batch'>,
  paths: readonly string[],
): Promise<(string | undefined)[]> {
  const reads = paths.map((path): FileOperation => ({ op: 'read', path, limit: 4096, optional: true }));
  return (await addon.batch(reads)).map(({ data }) => data?.trim());
}

/**
 * Changes limits, all or none: when one is refused, those written before it get their old values back.
 *
 * @returns takes the change back; never throws
 * @throws INVALID_ARGUMENT for what the kernel cannot mean, FAILED_PRECONDITION for a memory limit below what is in use,
 *   KERNEL
 */
export async function changeLimits(
  addon: Pick<Addon, 'batch'>,
  writes: readonly LimitWrite[],
): Promise<() => Promise<void>> {
  const old = await presentValues(
    addon,
    writes.map(({ path }) => path),
  );
  const results = await addon.batch(writes);
  const undo = writes.flatMap((write, at): FileOperation[] => {
    const value = old[at];
    if (value === undefined || results[at]?.error !== undefined) return [];
    // The end of line makes an empty value one, too.
    return [{ op: 'write', path: write.path, data: `${value}\n`, optional: true }];
  });
  const takeBack = async (): Promise<void> => {
    await addon.batch(undo.toReversed());
  };
  const failed = firstFailure(writes, results);
  if (!failed) return takeBack;
  await takeBack();
  throw refusal(failed.operation, failed.error);
}

function refusal(operation: FileOperation, error: string): BerthError {
  const told = failure(operation, error);
  if (error === 'EBUSY' && /\/memory\.[a-z_.]+$/.test(operation.path)) return belowUsage(told.message);
  return told;
}

export function belowUsage(why: string): BerthError {
  const message = `the container uses more memory than the new limit allows; nothing was changed (${why})`;
  return new BerthError('FAILED_PRECONDITION', message, { details: { step: 'cgroup', errno: 'EBUSY' } });
}
