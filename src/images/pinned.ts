import { isBerthError } from '#base/errors';
import { parseReference, repoDigestOf, repoTagOf } from './reference.ts';

/**
 * Which images the kubelet's clean-up shall leave alone. A pattern is an image name in any form, or a full name with `*`
 * for any characters: "localhost/infra/*".
 */
export function pinnedBy(patterns: readonly string[]): (names: readonly string[]) => boolean {
  const tests = patterns.map(toTest);
  return (names) => names.some((name) => tests.some((test) => test(name)));
}

function toTest(pattern: string): (name: string) => boolean {
  if (!pattern.includes('*')) {
    const wanted = fullName(pattern);
    return (name) => name === wanted;
  }
  const [first = '', ...parts] = pattern.split('*');
  const last = parts.pop() ?? '';
  return (name) => name.startsWith(first) && name.endsWith(last) && hasInOrder(name, first.length, last.length, parts);
}

/** Whether the parts follow each other between the first `start` and the last `end` characters. */
function hasInOrder(name: string, start: number, end: number, parts: readonly string[]): boolean {
  let at = start;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - end;
}

function fullName(text: string): string {
  try {
    const reference = parseReference(text);
    return repoDigestOf(reference) ?? repoTagOf(reference) ?? text;
  } catch (error) {
    // No image has such a name.
    if (isBerthError(error, 'INVALID_ARGUMENT')) return text;
    throw error;
  }
}
