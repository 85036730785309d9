import { describe, expect, it } from '@jest/globals';
import { BerthError } from '#base/errors';
import { KeptLayers } from './kept-layers.ts';
import type { PinnedLayer } from './layers.ts';

const passing = new BerthError('UNAVAILABLE', 'connection reset');

describe('layers of a broken pull', () => {
  it('go when one before them cannot be removed', async () => {
    const gone: string[] = [];
    const errors: unknown[] = [];
    const kept = new KeptLayers({
      ms: 60_000,
      free: async (keys) => void gone.push(`rows ${keys.join()}`),
      onError: (error) => errors.push(error),
    });
    const pin = (key: string, unpin: () => Promise<void>): PinnedLayer => ({
      row: { key, name: key, diffId: key, bytes: 1, inodes: 1, opaque: [] },
      reused: false,
      unpin,
    });
    const bad = new Error('EIO');
    const good = (key: string): PinnedLayer => pin(key, async () => void gone.push(key));
    await kept.keep([pin('a', () => Promise.reject(bad)), good('b')], passing);
    await kept.keep([good('c')], passing);
    await kept.drop();
    expect(gone).toEqual(['b', 'rows a,b', 'c', 'rows c']);
    expect(errors).toEqual([bad]);
    await kept.keep([good('d')], new BerthError('IMAGE_INVALID', 'no'));
    expect(gone.slice(4)).toEqual(['d', 'rows d']);
  });
});
