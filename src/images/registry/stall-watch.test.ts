import { describe, expect, it } from '@jest/globals';
import { StallWatch } from './stall-watch.ts';

const watch = (): StallWatch => new StallWatch({ windowMs: 1000, bytesPerSecond: 100 });
const ticks = (one: StallWatch, count: number, bytes: number, waiting = false): boolean[] =>
  Array.from({ length: count }, () => {
    one.received(bytes);
    return one.tick(250, waiting);
  });

describe('StallWatch', () => {
  it('finds silence after one window', () => {
    expect(ticks(watch(), 4, 0)).toEqual([false, false, false, true]);
  });

  it('finds a trickle: bytes that come are not enough', () => {
    expect(ticks(watch(), 4, 24)).toEqual([false, false, false, true]);
    expect(ticks(watch(), 8, 25)).not.toContain(true);
  });

  it('takes a single byte when no throughput is asked for', () => {
    const lenient = new StallWatch({ windowMs: 1000, bytesPerSecond: 0 });
    lenient.received(1);
    expect(ticks(lenient, 4, 0)).not.toContain(true);
    expect(ticks(lenient, 4, 0)).toContain(true);
  });

  it('does not blame the network for a slow reader', () => {
    const one = watch();
    expect(ticks(one, 20, 0, true)).not.toContain(true);
    // The window starts anew when the reader has caught up.
    expect(ticks(one, 3, 0)).not.toContain(true);
    one.heldUp();
    expect(ticks(one, 4, 0)).not.toContain(true);
    expect(ticks(one, 1, 0)).toEqual([true]);
  });
});
