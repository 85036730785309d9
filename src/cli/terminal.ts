import { BerthError } from '#base/errors';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** @throws INVALID_ARGUMENT when standard input is none */
export function requireTerminal(): void {
  if (process.stdin.isTTY) return;
  throw new BerthError('INVALID_ARGUMENT', 'standard input is not a terminal: leave out --tty');
}

/** The terminal this command was started in, given over byte by byte; disposing gives it back as it was. */
export class RawTerminal implements Disposable {
  readonly #onResize: () => void;

  constructor(onResize: (size: TerminalSize) => void) {
    this.#onResize = () => {
      const { columns, rows } = process.stdout;
      // A standard output that is no terminal has no size.
      if (columns > 0 && rows > 0) onResize({ columns, rows });
    };
    process.stdin.setRawMode(true);
    process.stdout.on('resize', this.#onResize);
  }

  /** Tells the size as it is now. */
  announce(): void {
    this.#onResize();
  }

  [Symbol.dispose](): void {
    process.stdout.off('resize', this.#onResize);
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
  }
}

const controlP = 0x10;
const controlQ = 0x11;

/** Finds the keys that detach, ctrl-p and ctrl-q, in what is typed. A ctrl-p waits for the next key. */
export class DetachKeys {
  #held = false;

  /** What is to be sent; undefined once the keys were typed. */
  filter(typed: Buffer): Buffer | undefined {
    const bytes: number[] = [];
    for (const byte of typed) {
      if (this.#held && byte === controlQ) return undefined;
      if (this.#held) bytes.push(controlP);
      this.#held = byte === controlP;
      if (!this.#held) bytes.push(byte);
    }
    return Buffer.from(bytes);
  }
}
