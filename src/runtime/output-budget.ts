import { BerthError } from '#base/errors';

const mebibyte = 1024 * 1024;
/** Of all commands together: the few that say much, one or two of them as much as one may, have room beside each other. */
const budgetBytes = 64 * mebibyte;
/** Of each, not counted: what a probe says that is meant as one. */
const freeBytes = 32 * 1024;

/** What one command's output holds of the budget. */
export interface OutputShare extends Disposable {
  /** Tells how many bytes it holds now. May end this one or another. */
  holds(bytes: number): void;
}

interface Holder {
  readonly podId: string;
  readonly end: (error: BerthError) => void;
  bytes: number;
}

/**
 * The memory of berthd that output of commands (ExecSync) may hold together. Where it is too little, the pod that holds
 * most loses its largest: no pod can take it from one that holds less.
 */
export class OutputBudget {
  readonly #limit: number;
  readonly #free: number;
  readonly #holders = new Set<Holder>();
  #total = 0;

  constructor(limit = budgetBytes, free = freeBytes) {
    this.#limit = limit;
    this.#free = free;
  }

  /** Held beyond the free part of each. */
  get total(): number {
    return this.#total;
  }

  /** @param end is called once when this one has to go, with RESOURCE_EXHAUSTED: its bytes are no longer counted */
  open(podId: string, end: (error: BerthError) => void): OutputShare {
    const holder: Holder = { podId, end, bytes: 0 };
    let open = true;
    return {
      holds: (bytes) => {
        if (!open) return;
        this.#set(holder, Math.max(0, bytes - this.#free));
        while (this.#total > this.#limit) this.#endLargest();
      },
      [Symbol.dispose]: () => {
        open = false;
        this.#set(holder, 0);
      },
    };
  }

  #set(holder: Holder, bytes: number): void {
    this.#total += bytes - holder.bytes;
    holder.bytes = bytes;
    if (bytes > 0) this.#holders.add(holder);
    else this.#holders.delete(holder);
  }

  #endLargest(): void {
    const pods = new Map<string, { bytes: number; largest: Holder }>();
    for (const holder of this.#holders) {
      const pod = pods.get(holder.podId);
      if (!pod) pods.set(holder.podId, { bytes: holder.bytes, largest: holder });
      else {
        pod.bytes += holder.bytes;
        if (holder.bytes > pod.largest.bytes) pod.largest = holder;
      }
    }
    const [first] = [...pods.values()].sort((a, b) => b.bytes - a.bytes);
    if (!first) return;
    const { largest } = first;
    this.#set(largest, 0);
    largest.end(
      new BerthError(
        'RESOURCE_EXHAUSTED',
        `its output was the largest of the pod that held most of the ${this.#limit / mebibyte} MiB that output of all ` +
          'ExecSync calls together may hold: it was killed',
      ),
    );
  }
}
