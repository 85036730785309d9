import { Deadline } from '#base/deadline';
import { BerthError, isBerthError } from '#base/errors';
import { StreamPipes } from './process-streams.ts';
import type { RuntimeParts } from './runtime-parts.ts';
import { encodeFrame, frameType } from './shim/frame.ts';
import type { Event__Output } from './shim/gen/berth/shim/Event.ts';
import type { Request } from './shim/gen/berth/shim/Request.ts';
import type { PodShim } from './shim/pod-shim.ts';
import { encodeRequest } from './shim/protocol.ts';
import { firstStream, ShimConnection } from './shim/shim-connection.ts';
import type { StreamChoice, TerminalSize } from './streams.ts';

/** For words to a shim that nobody waits for: its event loop never does. */
const patienceMs = 5_000;
const largestSize = 65_535;

export interface ConversationOptions {
  /** For errors: "exec in container abc". */
  readonly doing: string;
  readonly choice: StreamChoice;
  /** Goes out with the process's ends of the streams. */
  readonly request: Request;
  readonly onEvent: (event: Event__Output) => void;
  /** The connection is gone, whoever closed it. */
  readonly onGone: () => void;
}

/** A connection to a shim and the streams that went with it: everything an exec or attach holds in berthd. */
export class Conversation implements Disposable {
  readonly streams: StreamPipes;
  readonly #connection: ShimConnection;
  readonly #place: Disposable;
  readonly #watch: PodShim['watch'];

  /** @throws SHIM_DIED when nobody listens, RESOURCE_EXHAUSTED when the pod has as many as it may */
  constructor(parts: RuntimeParts, shim: PodShim, options: ConversationOptions) {
    const { launcher } = parts;
    this.#watch = shim.watch;
    const frame = encodeFrame(frameType.request, firstStream, encodeRequest(options.request), shim.requestLimit);
    this.#place = shim.places.take('stream', shim.features, options.doing);
    let streams: StreamPipes | undefined;
    try {
      streams = this.streams = new StreamPipes(parts.addon, options.choice, launcher.devNull);
      const socket = launcher.connectWith(shim.podId, shim.directory, frame, this.streams.remoteEnds());
      const { onEvent, onGone } = options;
      this.#connection = new ShimConnection({ socket, podId: shim.podId, onEvent, onClose: onGone });
    } catch (error) {
      streams?.[Symbol.dispose]();
      this.#place[Symbol.dispose]();
      throw error;
    }
    this.streams.closeRemoteEnds();
  }

  /** Waits until the shim has answered; on failure nothing is left here. */
  async begun(doing: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#watch.during(this.#connection.firstAnswer(doing, signal));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.streams[Symbol.dispose]();
    this.#connection.close();
    this.#place[Symbol.dispose]();
  }
}

/** Shims live as long as their pods, which may be older than this berthd. */
export function requireFeature(shim: PodShim, feature: string, doing: string): void {
  if (shim.features.has(feature)) return;
  throw new BerthError(
    'FAILED_PRECONDITION',
    `${doing}: the pod's shim is older than berthd and lacks "${feature}"; make the pod anew`,
  );
}

/** Within what a terminal can have; undefined for a size of nothing. */
export function boundedSize({ columns, rows }: TerminalSize): TerminalSize | undefined {
  const bounded = (value: number): number => Math.min(Math.floor(value), largestSize);
  return columns >= 1 && rows >= 1 ? { columns: bounded(columns), rows: bounded(rows) } : undefined;
}

/** Tells a terminal its size. A size of nothing, a process that is gone and an old shim: no effect. */
export async function resizeTerminal(
  shim: PodShim,
  of: { readonly container_id: string } | { readonly exec_id: string },
  size: TerminalSize,
): Promise<void> {
  const bounded = boundedSize(size);
  if (!bounded || !shim.features.has('resize')) return;
  await tell(shim, { resize_tty: { ...of, ...bounded } }, `resize a terminal of pod ${shim.podId}`);
}

/** Ends a command with its whole tree. One that is gone: no effect. */
export async function killExec(shim: PodShim, execId: string): Promise<void> {
  await tell(shim, { kill_exec: { exec_id: execId } }, `kill exec ${execId}`);
}

async function tell(shim: PodShim, request: Request, doing: string): Promise<void> {
  using patience = new Deadline(patienceMs, doing);
  try {
    await shim.call(request, doing, patience.signal);
  } catch (error) {
    if (!isBerthError(error)) throw error;
  }
}
