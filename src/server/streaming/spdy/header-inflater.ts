import zlib from 'node:zlib';
import { dictionary } from './dictionary.ts';
import { SpdyViolation } from './violation.ts';

/** Of one header block, inflated. Clients send less than two hundred bytes. */
export const maxBlockLength = 16 * 1024;
const maxPairs = 64;

/** Header blocks of one connection: they share one zlib stream, so they are read one after the other. */
export class HeaderInflater implements Disposable {
  #inflate: zlib.Inflate | undefined;
  #over = false;

  /** @throws SpdyViolation for what is no header block, or a larger one than anybody needs */
  async read(block: Buffer): Promise<ReadonlyMap<string, string>> {
    return parsePairs(await this.#inflated(block));
  }

  [Symbol.dispose](): void {
    this.#over = true;
    // What fails after its end is nobody's concern.
    this.#inflate?.on('error', () => undefined).close();
  }

  async #inflated(block: Buffer): Promise<Buffer> {
    if (this.#over) throw new SpdyViolation('the connection is closed');
    const inflate = (this.#inflate ??= zlib.createInflate({ dictionary }));
    const chunks: Buffer[] = [];
    let length = 0;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= maxBlockLength) chunks.push(chunk);
      // Not another chunk of it: sixteen kilobytes can hold sixteen megabytes.
      else reject(new SpdyViolation(`a header block of more than ${maxBlockLength} bytes`));
    };
    const onError = (error: Error): void => reject(new SpdyViolation(`a header block: ${error.message}`));
    const onClose = (): void => reject(new SpdyViolation('the connection is closed'));
    inflate.on('data', onData).once('error', onError).once('close', onClose);
    try {
      inflate.write(block, (error) => {
        if (error) return;
        while (inflate.read() !== null);
        resolve();
      });
      await promise;
      return Buffer.concat(chunks);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    } finally {
      inflate.off('data', onData).off('error', onError).off('close', onClose);
    }
  }
}

/** Names are lower case. Of several values of one name the first counts. */
function parsePairs(block: Buffer): ReadonlyMap<string, string> {
  const reader = new BlockReader(block);
  const count = reader.number();
  if (count > maxPairs) throw new SpdyViolation(`${count} headers`);
  const pairs = new Map<string, string>();
  for (let index = 0; index < count; index++) {
    const name = reader.text().toLowerCase();
    const [value = ''] = reader.text().split('\0', 1);
    if (name === '' || pairs.has(name)) throw new SpdyViolation('a header without a name, or twice');
    pairs.set(name, value);
  }
  if (!reader.done) throw new SpdyViolation('a header block that is longer than it says');
  return pairs;
}

class BlockReader {
  readonly #block: Buffer;
  #at = 0;

  constructor(block: Buffer) {
    this.#block = block;
  }

  get done(): boolean {
    return this.#at === this.#block.length;
  }

  number(): number {
    if (this.#at + 4 > this.#block.length) throw new SpdyViolation('a header block that ends too early');
    const value = this.#block.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  text(): string {
    const length = this.number();
    const end = this.#at + length;
    if (end > this.#block.length) throw new SpdyViolation('a header block that ends too early');
    const text = this.#block.toString('latin1', this.#at, end);
    this.#at = end;
    return text;
  }
}
