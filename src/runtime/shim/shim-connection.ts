import type { Socket } from 'node:net';
import { raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import { encodeFrame, type Frame, FrameReader, frameType } from './frame.ts';
import type { Event__Output } from './gen/berth/shim/Event.ts';
import type { Request } from './gen/berth/shim/Request.ts';
import type { Response__Output } from './gen/berth/shim/Response.ts';
import { decodeEvent, decodeResponse, encodeRequest } from './protocol.ts';
import { fromShimError } from './shim-error.ts';

interface Waiting {
  readonly resolve: (response: Response__Output) => void;
  readonly reject: (error: unknown) => void;
}

export interface ShimConnectionOptions {
  readonly socket: Socket;
  readonly podId: string;
  readonly onEvent: (event: Event__Output) => void;
  /** Called once, when the socket is gone for whatever reason. */
  readonly onClose: () => void;
  /** Bytes of a request that this shim takes; by default what every shim does. */
  readonly requestLimit?: () => number;
}

/** The stream id of a request that was sent together with file descriptors before this object existed. */
export const firstStream = 1;

/**
 * One connection to a shim: requests with their answers, and events. Answers are matched by stream id, so any number of
 * calls may be under way. When the socket ends, every waiting call fails with SHIM_DIED.
 */
export class ShimConnection {
  readonly #options: ShimConnectionOptions;
  readonly #waiting = new Map<number, Waiting>();
  readonly #reader = new FrameReader();
  #nextStream = firstStream;
  #closed = false;

  constructor(options: ShimConnectionOptions) {
    this.#options = options;
    const { socket } = options;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', () => this.#onGone());
    socket.on('close', () => this.#onGone());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Sends a request and waits for its answer, no longer than `signal` lives: the shim goes on either way.
   *
   * @param doing for the error's sentence: "create container abc"
   * @throws INVALID_ARGUMENT for a request that is too long: nothing was sent
   */
  async call(request: Request, doing: string, signal: AbortSignal): Promise<Response__Output> {
    if (this.#closed) throw this.#died(doing);
    const stream = this.#takeStream();
    // What cannot be encoded must throw before an answer is expected: nobody would ever take that answer's failure.
    const frame = encodeFrame(frameType.request, stream, encodeRequest(request), this.#options.requestLimit?.());
    const answer = this.#expect(stream);
    this.#options.socket.write(frame);
    return this.#finish(stream, answer, doing, signal);
  }

  /** Waits for the answer of the request that was sent with `firstStream` when the connection was made. */
  async firstAnswer(doing: string, signal: AbortSignal): Promise<Response__Output> {
    const stream = this.#takeStream();
    return this.#finish(stream, this.#expect(stream), doing, signal);
  }

  close(): void {
    this.#options.socket.destroy();
  }

  #takeStream(): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    return stream;
  }

  #expect(stream: number): Promise<Response__Output> {
    const answer = new Promise<Response__Output>((resolve, reject) => this.#waiting.set(stream, { resolve, reject }));
    // Its failure is the caller's, who may have left before it comes.
    answer.catch(() => undefined);
    return answer;
  }

  async #finish(
    stream: number,
    answer: Promise<Response__Output>,
    doing: string,
    signal: AbortSignal,
  ): Promise<Response__Output> {
    try {
      const response = await raceSignal(answer, signal);
      if (response.error) throw fromShimError(response.error, doing);
      return response;
    } catch (error) {
      throw error === gone ? this.#died(doing) : error;
    } finally {
      this.#waiting.delete(stream);
    }
  }

  #onData(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#onFrame(frame);
    } catch {
      // A shim that breaks the protocol is as good as gone: the owner of the pod decides what follows from that.
      this.close();
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.type === frameType.event) {
      this.#options.onEvent(decodeEvent(frame.payload));
      return;
    }
    this.#waiting.get(frame.stream)?.resolve(decodeResponse(frame.payload));
  }

  #onGone(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.socket.destroy();
    for (const waiting of this.#waiting.values()) waiting.reject(gone);
    this.#waiting.clear();
    this.#options.onClose();
  }

  #died(doing: string): BerthError {
    return new BerthError('SHIM_DIED', `${doing}: the shim of pod ${this.#options.podId} is gone`);
  }
}

const gone = new Error('shim connection closed');
