import type { Socket } from 'node:net';
import type { Fd } from '#linux/fd';
import type { ContainerEntry__Output } from './gen/berth/shim/ContainerEntry.ts';
import type { Event__Output } from './gen/berth/shim/Event.ts';
import type { HelloReply__Output } from './gen/berth/shim/HelloReply.ts';
import type { Request } from './gen/berth/shim/Request.ts';
import type { Response__Output } from './gen/berth/shim/Response.ts';
import { largeRequests, maxPayload, maxRequest } from './frame.ts';
import { protocolVersion } from './protocol.ts';
import { ShimConnection } from './shim-connection.ts';

export interface PodShimOptions {
  readonly podId: string;
  readonly directory: Fd;
  readonly socket: Socket;
  readonly buildId: string;
  readonly onEvent: (event: Event__Output) => void;
  readonly onGone: (shim: PodShim) => void;
}

/** A pod's shim as berthd is connected to it. Owns the handle on the pod's directory. */
export class PodShim implements Disposable {
  readonly podId: string;
  readonly directory: Fd;
  /** cgroup paths of the pod's containers, for killing them when the shim dies. */
  readonly cgroupPaths = new Map<string, string>();
  readonly pids = new Map<string, number>();
  pausePid = 0;
  shimPid = 0;
  startedAtNs = 0n;
  features: ReadonlySet<string> = new Set();
  /** Set when we end it ourselves: its going is then no news. */
  ending = false;
  readonly #connection: ShimConnection;
  readonly #buildId: string;

  constructor(options: PodShimOptions) {
    this.podId = options.podId;
    this.directory = options.directory;
    this.#buildId = options.buildId;
    this.#connection = new ShimConnection({
      socket: options.socket,
      podId: options.podId,
      onEvent: options.onEvent,
      onClose: () => options.onGone(this),
      requestLimit: () => this.requestLimit,
    });
  }

  /** Bytes of a request that it takes. */
  get requestLimit(): number {
    return this.features.has(largeRequests) ? maxRequest : maxPayload;
  }

  get connected(): boolean {
    return !this.#connection.closed;
  }

  call(request: Request, doing: string, signal: AbortSignal): Promise<Response__Output> {
    return this.#connection.call(request, doing, signal);
  }

  /** First words on a connection: versions, and "tell me about exits". */
  async hello(signal: AbortSignal): Promise<HelloReply__Output> {
    const request: Request = { hello: { protocol: protocolVersion, build_id: this.#buildId, subscribe: true } };
    const { hello } = await this.call(request, `greet the shim of pod ${this.podId}`, signal);
    if (!hello) throw new Error('the answer to hello is not a hello');
    this.shimPid = hello.pid;
    this.features = new Set(hello.features);
    return hello;
  }

  /** Asks for everything the shim knows, and remembers pids. */
  async state(signal: AbortSignal): Promise<readonly ContainerEntry__Output[]> {
    const { state } = await this.call({ get_state: {} }, `ask the shim of pod ${this.podId} for its state`, signal);
    if (!state) throw new Error('the answer to get_state is not a state');
    this.pausePid = state.pause_pid;
    for (const entry of state.containers) this.pids.set(entry.id, entry.pid);
    return state.containers;
  }

  forget(containerId: string): void {
    this.cgroupPaths.delete(containerId);
    this.pids.delete(containerId);
  }

  [Symbol.dispose](): void {
    this.ending = true;
    this.#connection.close();
    this.directory[Symbol.dispose]();
  }
}
