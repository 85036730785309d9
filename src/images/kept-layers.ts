import { isBerthError } from '#base/errors';
import type { PinnedLayer } from './layers.ts';

export interface KeptLayersOptions {
  /** How long they wait for the next attempt. */
  readonly ms: number;
  /** Removes those of the layers that nobody needs any more. */
  readonly free: (keys: readonly string[]) => Promise<void>;
  /** A layer that could not be removed: it is a stray now. The others go nevertheless. */
  readonly onError: (error: unknown) => void;
}

interface Kept {
  readonly pins: readonly PinnedLayer[];
  readonly timer: NodeJS.Timeout;
}

/** The batches that are kept; with one more the oldest goes. */
const maxKept = 64;

/**
 * Finished layers of a pull that broke off: its next attempt need not download them again. They have no row, so a berthd
 * that starts anew removes them.
 */
export class KeptLayers implements AsyncDisposable {
  readonly #options: KeptLayersOptions;
  readonly #kept = new Set<Kept>();
  #going: Promise<void> = Promise.resolve();

  constructor(options: KeptLayersOptions) {
    this.#options = options;
  }

  /** Takes the pins over. Where the next attempt would fail as well, or room is what is missing, nothing is kept. */
  async keep(pins: readonly PinnedLayer[], reason: unknown): Promise<void> {
    if (isBerthError(reason, 'RESOURCE_EXHAUSTED')) await this.drop();
    if (!isPassing(reason)) {
      await this.#free(pins);
      return;
    }
    if (pins.length === 0) return;
    const letGo = (): void => {
      this.#letGo(kept).catch(this.#options.onError);
    };
    const kept: Kept = {
      pins,
      timer: setTimeout(letGo, this.#options.ms).unref(),
    };
    this.#kept.add(kept);
    const [oldest] = this.#kept;
    if (this.#kept.size > maxKept && oldest) await this.#letGo(oldest);
  }

  /** All of them go, now: somebody needs the room. */
  async drop(): Promise<void> {
    await Promise.all([...this.#kept].map((kept) => this.#letGo(kept)));
    await this.#going;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drop();
  }

  #letGo(kept: Kept): Promise<void> {
    clearTimeout(kept.timer);
    if (this.#kept.delete(kept)) this.#going = this.#going.then(() => this.#free(kept.pins));
    return this.#going;
  }

  /** Never throws: it runs by a timer, and one bad layer must not keep the others. */
  async #free(pins: readonly PinnedLayer[]): Promise<void> {
    const { free, onError } = this.#options;
    for (const pin of pins) await pin.unpin().catch(onError);
    await free(pins.map((pin) => pin.row.key)).catch(onError);
  }
}

function isPassing(reason: unknown): boolean {
  return (['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED'] as const).some((code) => isBerthError(reason, code));
}
