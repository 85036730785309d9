import { BerthError } from '#base/errors';

/** Ten years of seconds: more is a mistake, and no timer takes it. */
const most = 315_360_000;

/** The value of an option that is a count of something. @throws INVALID_ARGUMENT naming the option */
export function wholeNumber(option: string, text: string, unit: string, least = 0): number {
  if (/^[0-9]{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most) return Number(text);
  const range = least === 0 ? `up to ${most}` : `from ${least} to ${most}`;
  throw new BerthError('INVALID_ARGUMENT', `${option} ${shown(text)}: expected ${unit}, a whole number ${range}`);
}

/** What somebody typed, short enough for one line. */
export function shown(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}... (${text.length} characters)` : text;
}
