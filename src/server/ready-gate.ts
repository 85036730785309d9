import { BerthError } from '#base/errors';

/**
 * Whether calls are answered. The socket listens before recovery has ended, so that a client waits for a sentence
 * rather than for a connection.
 */
export class ReadyGate {
  #closedBecause: string | undefined;

  constructor(because = 'berthd is still recovering its pods; try again in a moment') {
    this.#closedBecause = because;
  }

  /** Undefined: open. */
  get closedBecause(): string | undefined {
    return this.#closedBecause;
  }

  open(): void {
    this.#closedBecause = undefined;
  }

  close(because: string): void {
    this.#closedBecause = because;
  }

  /** @throws UNAVAILABLE while it is closed */
  pass(): void {
    if (this.#closedBecause !== undefined) throw new BerthError('UNAVAILABLE', this.#closedBecause);
  }
}
