import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { shownUrl } from './shown-url.ts';

describe('shownUrl', () => {
  it.each([
    ['https://user:secret@host:5000/v2/a/blobs/x?X-Signature=secret#secret', 'https://host:5000/v2/a/blobs/x'],
    ['http://[::1]:80/?token=secret', 'http://[::1]/'],
    ['secret', '(not a URL)'],
    ['', '(not a URL)'],
    ['data:text/plain,secret', '(a data: URL)'],
    [`https://host/${'a'.repeat(400)}`, `https://host/${'a'.repeat(243)}…`],
  ])('shows %j without secrets', (url, shown) => {
    expect(shownUrl(url)).toBe(shown);
  });

  it('never shows user, password, query or fragment', () => {
    const secret = fc.stringMatching(/^[a-z]{12}$/);
    fc.assert(
      fc.property(secret, fc.webPath(), (word, path) => {
        const shown = shownUrl(`https://${word}:${word}@host.test${path}?${word}=${word}#${word}`);
        expect(shown.replace(path, '')).not.toContain(word);
      }),
    );
  });
});
