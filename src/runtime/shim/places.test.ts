import { describe, expect, test } from '@jest/globals';
import { Places } from './places.ts';

const current = new Set(['reserved-places']);

function filled(kind: 'stream' | 'probe', count: number, features: ReadonlySet<string>): Places {
  const places = new Places();
  for (let at = 0; at < count; at++) places.take(kind, features, 'fill');
  return places;
}

describe('places at a shim', () => {
  test.each([
    { features: current, streams: 1024, all: 1272 },
    { features: new Set<string>(), streams: 96, all: 120 },
  ])('$streams streams, and probes where streams have no place', ({ features, streams, all }) => {
    const places = filled('stream', streams - 1, features);
    const last = places.take('stream', features, 'exec');
    expect(() => places.take('stream', features, 'exec in container c')).toThrow(
      expect.objectContaining({
        code: 'RESOURCE_EXHAUSTED',
        message: `exec in container c: ${streams} execs and attaches have streams in this pod, which is the limit: end some first`,
      }),
    );
    for (let at = streams; at < all; at++) places.take('probe', features, 'probe');
    expect(() => places.take('probe', features, 'probe')).toThrow(new RegExp(`^probe: ${all} execs and attaches are`));
    last[Symbol.dispose]();
    last[Symbol.dispose]();
    places.take('probe', features, 'probe');
    expect(() => places.take('stream', features, 'exec')).toThrow('limit');
  });

  test('a place that is given back is free, once', () => {
    const places = filled('stream', 1023, current);
    const one = places.take('stream', current, 'x');
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    places.take('stream', current, 'x');
    expect(() => places.take('stream', current, 'x')).toThrow('1024');
  });
});
