import { BerthError } from '#base/errors';

const noRoom = /no space left|quota exceeded|ENOSPC|EDQUOT/i;
const advice = 'make room there, or remove images and pods; what runs goes on, and can be stopped and removed';

/**
 * A failure for want of room says which disk is full, how much is free and what to do, wherever it came from.
 *
 * @param fullDisks of Berth's own directories: "... are free on the file system of /var/lib/berth"; "" when none is full
 */
export function tellFullDisks(failure: BerthError, fullDisks: () => string): BerthError {
  const { code, message, details } = failure;
  if (code !== 'RESOURCE_EXHAUSTED' || !noRoom.test(`${message} ${String(details['errno'] ?? '')}`)) return failure;
  const full = fullDisks();
  const known = [full === '' || message.includes(' are free on the file system of ') ? '' : full];
  if (full !== '' && !message.includes('make room')) known.push(advice);
  const more = known.filter(Boolean).join(': ');
  return more === '' ? failure : new BerthError(code, `${message}; ${more}`, { cause: failure, details });
}
