import { flagFin, frameHeaderLength, version } from './frames.ts';
import { SpdyViolation } from './violation.ts';

export type Frame =
  /** A piece of a data frame, as it came. */
  | { readonly kind: 'data'; readonly streamId: number; readonly bytes: Buffer; readonly fin: boolean }
  | { readonly kind: 'control'; readonly type: number; readonly flags: number; readonly payload: Buffer };

/**
 * The longest control frame: a compressed header block is smaller than what it holds, and that has a limit of its own
 * (CVE-2026-35469 is an implementation that believed every length).
 */
export const maxControlLength = 16 * 1024 + 64;

interface DataFrame {
  readonly streamId: number;
  readonly fin: boolean;
  left: number;
}

interface ControlFrame {
  readonly type: number;
  readonly flags: number;
  readonly length: number;
}

/** Cuts what arrives into frames. Control frames are held until they are complete, data is never held. */
export class FrameParser {
  #held: Buffer = Buffer.alloc(0);
  #data: DataFrame | undefined;
  #control: ControlFrame | undefined;

  /** @throws SpdyViolation; nothing can be made of the connection after that */
  *parse(chunk: Buffer): Generator<Frame, void, undefined> {
    let rest = chunk;
    for (;;) {
      if (this.#data) {
        const frame = this.#data;
        const bytes = rest.subarray(0, frame.left);
        if (bytes.length === 0 && frame.left > 0) return;
        rest = rest.subarray(bytes.length);
        frame.left -= bytes.length;
        if (frame.left === 0) this.#data = undefined;
        yield { kind: 'data', streamId: frame.streamId, bytes, fin: frame.fin && frame.left === 0 };
        continue;
      }
      const wanted = this.#control?.length ?? frameHeaderLength;
      const part = rest.subarray(0, wanted - this.#held.length);
      rest = rest.subarray(part.length);
      this.#held = this.#held.length === 0 ? part : Buffer.concat([this.#held, part]);
      if (this.#held.length < wanted) return;
      const complete = this.#held;
      this.#held = Buffer.alloc(0);
      if (this.#control) {
        const { type, flags } = this.#control;
        this.#control = undefined;
        yield { kind: 'control', type, flags, payload: complete };
      } else {
        this.#begin(complete);
      }
    }
  }

  #begin(header: Buffer): void {
    const flags = header.readUInt8(4);
    const length = header.readUIntBE(5, 3);
    const first = header.readUInt32BE(0);
    if (first >>> 31 === 0) {
      if (first === 0) throw new SpdyViolation('data for stream 0');
      this.#data = { streamId: first, fin: (flags & flagFin) !== 0, left: length };
      return;
    }
    const spoken = (first >>> 16) & 0x7fff;
    if (spoken !== version) throw new SpdyViolation(`a frame of version ${spoken}: expected ${version}`);
    if (length > maxControlLength) throw new SpdyViolation(`a control frame of ${length} bytes`);
    this.#control = { type: first & 0xffff, flags, length };
  }
}
