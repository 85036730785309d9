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
