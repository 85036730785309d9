/** Time as the CRI counts it: nanoseconds since the epoch, which exceed 2^53 and are therefore bigint. */
export interface Clock {
  /** Nanoseconds since 1970, for timestamps that leave the process. */
  nowNs(): bigint;
  /** Milliseconds of a clock that never jumps, for measuring and deadlines. */
  monotonicMs(): number;
}

const epochOffsetNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();

export const systemClock: Clock = {
  // Date has only milliseconds; the offset makes successive events of one millisecond distinct. A step of the wall
  // clock is followed as soon as it exceeds 50 ms.
  nowNs: () => {
    const wall = BigInt(Date.now()) * 1_000_000n;
    const fine = process.hrtime.bigint() + epochOffsetNs;
    const drift = fine > wall ? fine - wall : wall - fine;
    return drift > 50_000_000n ? wall : fine;
  },
  monotonicMs: () => performance.now(),
};
