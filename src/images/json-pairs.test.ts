import { describe, expect, it, jest } from '@jest/globals';
import { JsonLimit, JsonPairs, parseJsonPairs } from './json-pairs.ts';

/** JSON.parse's form, of a document in which no key comes twice. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof JsonPairs)) return value;
  return Object.fromEntries(value.pairs.map(([key, inner]) => [key, plain(inner)]));
}

describe('a JSON text with all its pairs', () => {
  it.each([
    '{}',
    '[]',
    '"text"',
    ' -1.5e+3 ',
    'null',
    '{"a":{"b":[1,true,false,null,"x"]},"c":[],"d":{},"e":[[],{}]}',
    String.raw`{"a\"}]{[,:":"\\","":"\\\"\u0041","__proto__":{"x":1},"toString":0}`,
    '\n{ "a" :\t[ 1 , 2 ] ,\r\n"b" : "c" }\n',
  ])('says what JSON.parse says: %s', (text) => {
    expect(plain(parseJsonPairs(text))).toEqual(JSON.parse(text));
  });

  it('keeps equal keys, in their order', () => {
    const value = parseJsonPairs('{"a":1,"b":[2],"a":{"a":3,"a":4}}');
    expect(value).toBeInstanceOf(JsonPairs);
    const { pairs } = value as JsonPairs;
    expect(pairs.map(([key]) => key)).toEqual(['a', 'b', 'a']);
    expect((pairs[2]?.[1] as JsonPairs).pairs).toEqual([
      ['a', 3],
      ['a', 4],
    ]);
  });

  it('has no half of a surrogate pair, which no peer could be sent', () => {
    const { pairs } = parseJsonPairs(String.raw`{"a\ud800":"\udc00b","c":"\ud83d\ude00"}`) as JsonPairs;
    expect(pairs).toEqual([
      ['a\ufffd', '\ufffdb'],
      ['c', '😀'],
    ]);
  });

  it.each(['', '{', '{"a":1,}', '[1 2]', "{'a':1}", '{"a":01}', '{"a":NaN}', '\ufeff{}x'])(
    'refuses what is none: %j',
    (text) => {
      expect(() => parseJsonPairs(text)).toThrow(SyntaxError);
    },
  );

  it('goes as deep as Go does, and no deeper: one of two million was the end of the thread that pulls', () => {
    const nested = (depth: number): unknown => parseJsonPairs('['.repeat(depth) + '1' + ']'.repeat(depth));
    let seen = 0;
    for (let value = nested(10_000); Array.isArray(value); value = value[0] as unknown) seen += 1;
    expect(seen).toBe(10_000);
    expect(() => nested(10_001)).toThrow('is nested more than 10000 deep');
    expect(() => nested(2_000_000)).toThrow(JsonLimit);
    expect(() => parseJsonPairs('{"":'.repeat(10_001) + '1' + '}'.repeat(10_001))).toThrow(JsonLimit);
  });

  it.each([
    ['objects', `[${'{},'.repeat(1_400_000)}{}]`],
    ['lists in lists', '['.repeat(2_000_000) + ']'.repeat(2_000_000)],
    ['a beginning alone', '{"":'.repeat(10_001)],
  ])('makes nothing of %s before the limit is looked at: JSON.parse held up the thread for a second', (_name, text) => {
    const parse = jest.spyOn(JSON, 'parse');
    try {
      expect(() => parseJsonPairs(text)).toThrow(JsonLimit);
      expect(parse).not.toHaveBeenCalled();
    } finally {
      parse.mockRestore();
    }
  });

  it('counts no bracket or quote inside a string', () => {
    const text = JSON.stringify('\\"[{'.repeat(100_000));
    expect(parseJsonPairs(`[${text},${text}]`)).toHaveLength(2);
    expect(() => parseJsonPairs(text.slice(0, -1))).toThrow(SyntaxError);
  });

  it('takes only so much: a list of a million objects was hundreds of MiB', () => {
    const many = (count: number): unknown => parseJsonPairs(`[${Array<string>(count).fill('1').join(',')}]`);
    expect(many(249_998)).toHaveLength(249_998);
    expect(() => many(249_999)).toThrow('has more than 250000 keys, values and brackets');
    expect(() => parseJsonPairs(`[${'{},'.repeat(1_000_000)}{}]`)).toThrow(JsonLimit);
  });
});
