const firstBlock = 1024;
const largestBlock = 1024 * 1024;

/**
 * Bytes that arrive in pieces, copied into few blocks: a piece of one byte costs one byte. Kept as it came, each piece
 * would cost some four hundred, and who sends them decides how small they are.
 */
export class GatheredBytes {
  readonly #blocks: Buffer[] = [];
  #open = Buffer.alloc(0);
  #used = 0;
  #length = 0;
  #held = 0;

  /** Bytes of memory: those of the blocks, of which the last is not full. */
  get held(): number {
    return this.#held;
  }

  get length(): number {
    return this.#length;
  }

  /** How many buffers are held: bounded by the bytes, not by the pieces. */
  get blocks(): number {
    return this.#blocks.length + (this.#used > 0 ? 1 : 0);
  }

  append(piece: Buffer): void {
    let rest = piece;
    while (rest.length > 0) {
      if (this.#used === this.#open.length) this.#openBlock(rest.length);
      const copied = rest.copy(this.#open, this.#used);
      this.#used += copied;
      this.#length += copied;
      rest = rest.subarray(copied);
    }
  }

  toBuffer(): Buffer {
    return Buffer.concat([...this.#blocks, this.#open.subarray(0, this.#used)], this.#length);
  }

  clear(): void {
    this.#blocks.length = 0;
    this.#open = Buffer.alloc(0);
    this.#used = this.#length = this.#held = 0;
  }

  #openBlock(wanted: number): void {
    if (this.#used > 0) this.#blocks.push(this.#open);
    const doubled = Math.max(firstBlock, this.#open.length * 2, wanted);
    this.#open = Buffer.allocUnsafeSlow(Math.min(doubled, largestBlock));
    this.#held += this.#open.length;
    this.#used = 0;
  }
}
