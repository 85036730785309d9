import { describe, expect, test } from '@jest/globals';
import { DetachKeys } from './terminal.ts';

const typed = (...chunks: readonly string[]): (string | undefined)[] => {
  const keys = new DetachKeys();
  return chunks.map((chunk) => keys.filter(Buffer.from(chunk))?.toString());
};

describe('the keys that detach', () => {
  test.each<[string, readonly string[], readonly (string | undefined)[]]>([
    ['other keys pass', ['abc', 'd'], ['abc', 'd']],
    ['both at once', ['ab\x10\x11'], [undefined]],
    ['one after the other', ['\x10', '\x11'], ['', undefined]],
    ['ctrl-p and another key', ['\x10', 'x'], ['', '\x10x']],
    ['ctrl-p twice, then ctrl-q', ['\x10\x10', '\x11'], ['\x10', undefined]],
    ['ctrl-q alone', ['\x11'], ['\x11']],
  ])('%s', (_what, chunks, sent) => {
    expect(typed(...chunks)).toEqual(sent);
  });
});
