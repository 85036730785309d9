import type { Socket } from 'node:net';
import { Deadline, raceSignal } from '#base/deadline';
import type { Logger } from '#base/log';
import type { Fd } from '#linux/fd';
import type { ContainerEntry__Output } from './gen/berth/shim/ContainerEntry.ts';
import type { Event__Output } from './gen/berth/shim/Event.ts';
import type { HelloReply__Output } from './gen/berth/shim/HelloReply.ts';
import type { Request } from './gen/berth/shim/Request.ts';
import type { Response__Output } from './gen/berth/shim/Response.ts';
import { largeRequests, maxPayload, maxRequest } from './frame.ts';
import { Places } from './places.ts';
import { protocolVersion } from './protocol.ts';
import { ShimConnection } from './shim-connection.ts';
import { ShimWatch } from './shim-watch.ts';

/** For a shim to say whether pause is still there: its event loop never waits. */
const pauseMs = 5_000;

const never = new AbortController().signal;

export interface PodShimOptions {
  readonly podId: string;
  readonly directory: Fd;
  readonly socket: Socket;
  readonly buildId: string;
  readonly log: Logger;
  /** Opens /proc/<pid>; undefined when there is no such process. */
  readonly openPause: (pid: number) => Fd | undefined;
  readonly onEvent: (event: Event__Output) => void;
  readonly onGone: (shim: PodShim) => void;
  readonly onPauseEnded: (shim: PodShim) => void;
}

/** A pod's shim as berthd is connected to it. Owns the handle on the pod's directory. */
export class PodShim implements Disposable {
  readonly podId: string;
  readonly directory: Fd;
  /** cgroup paths of the pod's containers, for killing them when the shim dies. */
  readonly cgroupPaths = new Map<string, string>();
  readonly pids = new Map<string, number>();
  shimPid = 0;
  features: ReadonlySet<string> = new Set();
  readonly places = new Places();
  /** Set when we end it ourselves: its going is then no news. */
  ending = false;
  /** Whether it answers. */
  readonly watch: ShimWatch;
  readonly #connection: ShimConnection;
  readonly #buildId: string;
  readonly #options: PodShimOptions;
  #pausePid = 0;
  #pauseGone = false;
  #pause: Promise<Fd | undefined> | undefined;

  constructor(options: PodShimOptions) {
    this.podId = options.podId;
    this.directory = options.directory;
    this.#buildId = options.buildId;
    this.#options = options;
    this.#connection = new ShimConnection({
      socket: options.socket,
      podId: options.podId,
      onEvent: options.onEvent,
      onClose: () => options.onGone(this),
      requestLimit: () => this.requestLimit,
    });
    this.watch = new ShimWatch({
      ...{ podId: options.podId, log: options.log },
      pid: () => this.shimPid,
      ask: () => this.#connection.call({ get_state: {} }, 'ask', never),
    });
  }

  /** Bytes of a request that it takes. */
  get requestLimit(): number {
    return this.features.has(largeRequests) ? maxRequest : maxPayload;
  }

  /** 0: there is none, or it has died. */
  get pausePid(): number {
    return this.#pauseGone ? 0 : this.#pausePid;
  }

  set pausePid(pid: number) {
    this.#pausePid = pid;
  }

  get connected(): boolean {
    return !this.#connection.closed;
  }

  call(request: Request, doing: string, signal: AbortSignal): Promise<Response__Output> {
    return this.watch.during(this.#connection.call(request, doing, signal));
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

  /**
   * /proc/<pause> by descriptor, lent: what is opened below it is pause's or nobody's, whoever gets its number after it.
   * Undefined when pause has died.
   */
  async pauseDirectory(signal: AbortSignal): Promise<Fd | undefined> {
    if (this.pausePid === 0) return undefined;
    this.#pause ??= this.#findPause(this.#pausePid).catch((error: unknown) => {
      this.#pause = undefined;
      throw error;
    });
    return raceSignal(this.#pause, signal);
  }

  async #findPause(pid: number): Promise<Fd | undefined> {
    const doing = `ask the shim of pod ${this.podId} for pause`;
    using deadline = new Deadline(pauseMs, doing);
    const directory = this.#options.openPause(pid);
    if (!directory) return undefined;
    try {
      const { state } = await this.call({ get_state: {} }, doing, deadline.signal);
      // The shim is its parent: while that has not reaped it, the number is nobody else's.
      if (state?.pause_pid === pid && !this.ending && !this.#pauseGone) return directory;
      if (state?.pause_pid === 0) this.pauseEnded();
    } catch (error) {
      directory[Symbol.dispose]();
      throw error;
    }
    directory[Symbol.dispose]();
    return undefined;
  }

  /** Pause has died: known from the shim's event, or found out. */
  pauseEnded(): void {
    if (this.#pauseGone) return;
    this.#pauseGone = true;
    this.#closePause();
    this.#options.onPauseEnded(this);
  }

  #closePause(): void {
    this.#pause?.then(
      (directory) => directory?.[Symbol.dispose](),
      () => undefined,
    );
    this.#pause = undefined;
  }

  forget(containerId: string): void {
    this.cgroupPaths.delete(containerId);
    this.pids.delete(containerId);
  }

  [Symbol.dispose](): void {
    this.ending = true;
    this.#closePause();
    this.#connection.close();
    this.directory[Symbol.dispose]();
  }
}
