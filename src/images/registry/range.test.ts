import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { judgeRange, parseContentRange } from './range.ts';

const partial = (contentRange: string | undefined, contentLength?: string) => ({
  status: 206,
  contentRange,
  contentLength,
});

describe('judgeRange', () => {
  it('takes a whole body and skips what is there', () => {
    expect(judgeRange({ status: 200, contentRange: undefined, contentLength: '10' }, 0, 10)).toEqual({
      ok: true,
      skip: 0,
    });
    expect(judgeRange({ status: 200, contentRange: undefined, contentLength: undefined }, 4, 10)).toEqual({
      ok: true,
      skip: 4,
    });
  });

  it('takes a shorter one, which is resumed', () => {
    expect(judgeRange({ status: 200, contentRange: undefined, contentLength: '7' }, 0, 10)).toEqual({
      ok: true,
      skip: 0,
    });
    expect(judgeRange(partial('bytes 4-6/10', '3'), 4, 10)).toEqual({ ok: true, skip: 0 });
  });

  it.each([
    ['longer than the blob', { status: 200, contentRange: undefined, contentLength: '11' }],
    ['without a place', partial(undefined)],
    ['with a place that is none', partial('bytes 5-4/10')],
    ['of another length', partial('bytes 4-9/12')],
    ['that starts too late', partial('bytes 5-9/10')],
    ['that ends before it is needed', partial('bytes 0-3/10')],
    ['that ends behind the blob', partial('bytes 4-10/*')],
    ['whose length contradicts its place', partial('bytes 4-9/10', '5')],
  ])('refuses a part %s', (_name, answer) => {
    expect(judgeRange(answer, 4, 10)).toMatchObject({ ok: false });
  });

  it('never lets a byte in at a wrong place, and never loses one', () => {
    const size = 1000;
    const at = fc.nat(size - 1);
    fc.assert(
      fc.property(at, at, at, fc.boolean(), (wanted, one, other, known) => {
        const [first, last] = [Math.min(one, other), Math.max(one, other)];
        const judged = judgeRange(
          partial(`bytes ${first}-${last}/${known ? size : '*'}`, String(last - first + 1)),
          wanted,
          size,
        );
        // Right exactly if the wanted byte is in the part, and then it comes next after the skipped ones.
        expect(judged.ok).toBe(first <= wanted && wanted <= last);
        if (judged.ok) expect(first + judged.skip).toBe(wanted);
      }),
    );
  });
});

describe('parseContentRange', () => {
  it.each([
    '',
    'bytes */10',
    'bytes 1-2',
    'items 1-2/3',
    'bytes 1-2/2',
    'bytes -1-2/3',
    'bytes 1-2/3, 4-5/6',
    `bytes 0-${'9'.repeat(20)}/*`,
  ])('refuses %j', (text) => {
    expect(parseContentRange(text)).toBeUndefined();
  });
});
