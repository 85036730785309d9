import { BerthError } from '#base/errors';
import type { Answer } from './follow.ts';

/** The Content-Encoding of an answer, if it is one that changes bytes; undefined: none. We ask for "identity". */
export function codingOf({ headers }: Pick<Answer, 'headers'>): string | undefined {
  const text = [headers['content-encoding'] ?? []].flat().join(', ').trim();
  const codings = text.split(',').map((one) => one.trim().toLowerCase());
  return codings.every((one) => one === '' || one === 'identity') ? undefined : text;
}

/** What to say of an answer whose bytes are not what was asked for, if coding is why. */
export function codingError(answer: Pick<Answer, 'headers'>, where: string): BerthError | undefined {
  const coding = codingOf(answer);
  if (coding === undefined) return undefined;
  const why = `sent with Content-Encoding ${JSON.stringify(coding.slice(0, 64))}, which was not asked for`;
  return new BerthError('UNAVAILABLE', `${where}: ${why}: the registry, or a proxy before it, changes what it sends`);
}
