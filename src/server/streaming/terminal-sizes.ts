import type { Readable } from 'node:stream';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A size takes thirty bytes; a client that sends more without ever finishing one is not listened to. */
const longest = 1024;

/** Reads terminal sizes as clients send them: flat JSON objects `{"Width":80,"Height":24}`, one after the other. */
export class TerminalSizeReader {
  #text = '';

  /** The sizes that are complete now. What is no size is skipped. */
  read(chunk: Buffer): readonly TerminalSize[] {
    const parts = (this.#text + chunk.toString('latin1')).split('}');
    const rest = parts.pop() ?? '';
    this.#text = rest.length > longest ? '' : rest;
    return parts.flatMap((part) => sizeOf(`${part}}`) ?? []);
  }
}

/** The sizes one client sends. Only the last one matters. */
export class TerminalSizes {
  #last: TerminalSize | undefined;
  #onSize: (size: TerminalSize) => void = () => undefined;

  constructor(from: Readable | undefined) {
    const reader = new TerminalSizeReader();
    from?.on('error', () => undefined);
    from?.on('data', (chunk: Buffer) => {
      const size = reader.read(chunk).at(-1);
      if (size === undefined) return;
      this.#last = size;
      this.#onSize(size);
    });
  }

  /** The first one: clients send it with their streams, and what starts in a terminal asks for it at once. */
  async first(patienceMs: number): Promise<TerminalSize | undefined> {
    if (this.#last) return this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onSize = () => resolve();
    const timer = setTimeout(resolve, patienceMs);
    await promise;
    clearTimeout(timer);
    return this.#last;
  }

  /** Tells the last one, and every later one, but one at a time: what came and went meanwhile is left out. */
  follow(tell: (size: TerminalSize) => Promise<void>): void {
    let telling = false;
    this.#onSize = () => {
      if (telling) return;
      telling = true;
      const tellAll = async (): Promise<void> => {
        for (let told: TerminalSize | undefined; told !== this.#last;) {
          told = this.#last;
          // A terminal that is gone has no size.
          if (told) await tell(told).catch(() => undefined);
        }
        telling = false;
      };
      tellAll().catch(() => undefined);
    };
    if (this.#last) this.#onSize(this.#last);
  }
}

function sizeOf(text: string): TerminalSize | undefined {
  if (text.length > longest) return undefined;
  try {
    const { Width: columns, Height: rows } = JSON.parse(text) as {
      readonly Width?: unknown;
      readonly Height?: unknown;
    };
    return isDimension(columns) && isDimension(rows) ? { columns, rows } : undefined;
  } catch {
    return undefined;
  }
}

function isDimension(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff;
}
