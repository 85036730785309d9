/**
 * Finds a download that is stuck or crawls: fewer bytes in a window than its least throughput gives. Time in which the
 * reader held it up does not count. Driven from outside by `tick`, so that it needs no clock.
 */
export class StallWatch {
  readonly #windowMs: number;
  readonly #leastBytes: number;
  #elapsedMs = 0;
  #bytes = 0;
  #heldUp = false;

  constructor(options: { readonly windowMs: number; readonly bytesPerSecond: number }) {
    this.#windowMs = options.windowMs;
    this.#leastBytes = Math.max(1, Math.floor((options.bytesPerSecond * options.windowMs) / 1000));
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** The reader does not keep up: until the next tick at least. */
  heldUp(): void {
    this.#heldUp = true;
  }

  /** `ms` have passed. `waiting`: the reader still holds it up. True: it stalls. */
  tick(ms: number, waiting: boolean): boolean {
    const held = this.#heldUp || waiting;
    this.#heldUp = false;
    if (held) {
      // What came in a window with waiting in it says nothing about the network.
      this.#elapsedMs = 0;
      this.#bytes = 0;
      return false;
    }
    this.#elapsedMs += ms;
    if (this.#elapsedMs < this.#windowMs) return false;
    const stalls = this.#bytes < this.#leastBytes;
    this.#elapsedMs = 0;
    this.#bytes = 0;
    return stalls;
  }
}
