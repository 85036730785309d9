/** One step of making or ending a pod or container. */
export interface TimelineEntry {
  readonly step: string;
  /** Milliseconds since the first step began. */
  readonly at: number;
  readonly ms: number;
}

const limit = 32;

/** How long each step took, shown by `inspect`. The first steps matter most: further ones are not kept. */
export class Timeline {
  readonly #entries: TimelineEntry[] = [];
  #start: number | undefined;

  get entries(): readonly TimelineEntry[] {
    return this.#entries;
  }

  async measure<T>(step: string, work: () => Promise<T>): Promise<T> {
    const begin = performance.now();
    this.#start ??= begin;
    try {
      return await work();
    } finally {
      if (this.#entries.length < limit) {
        this.#entries.push({ step, at: round(begin - this.#start), ms: round(performance.now() - begin) });
      }
    }
  }
}

const round = (ms: number): number => Math.round(ms * 100) / 100;
