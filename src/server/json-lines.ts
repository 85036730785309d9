import type { ServerResponse } from 'node:http';
import type { ErrorCode } from '#base/error-codes';
import type { BerthError } from '#base/errors';

const httpStatus: Partial<Record<ErrorCode, number>> = { NOT_FOUND: 404, UNAVAILABLE: 503, UNIMPLEMENTED: 501 };

/** An answer of JSON lines. The head goes out with the first line, so that an error before it has its own status. */
export class JsonLines {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  write(line: object): void {
    this.#head(200);
    this.#response.write(`${JSON.stringify(line)}\n`);
  }

  /** For lines that may be left out: not sent while the reader is behind, so that a slow one costs no memory. */
  writeIfRead(line: object): void {
    if (!this.#response.writableNeedDrain) this.write(line);
  }

  fail(error: BerthError): void {
    this.#head(httpStatus[error.code] ?? (error.side === 'user' ? 400 : 500));
    this.#response.write(errorLine(error));
  }

  /** Resolves when the answer is with the kernel, or its reader is gone. */
  async end(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#response.once('close', () => resolve());
      this.#response.end();
      if (this.#response.destroyed) resolve();
    });
  }

  #head(status: number): void {
    if (this.#response.headersSent) return;
    // One answer a connection: nothing keeps berthd from closing, and a body that was not read does not matter.
    this.#response.writeHead(status, { 'content-type': 'application/jsonl', connection: 'close' });
  }
}

/** The last line of an answer that failed. */
export function errorLine({ code, message }: BerthError): string {
  return `${JSON.stringify({ error: { code, message } })}\n`;
}
