import type { Socket } from 'node:net';
import type { Clock } from '#base/clock';
import type { Logger } from '#base/log';
import type { CounterMetric, GaugeMetric, Metrics } from '#base/metrics';
import { OnceAMinute } from '#base/once-a-minute';

/** For connections beyond the limit: those that wait for a place, and how long. Clients give up after 20 s (gRPC's own). */
const waitingLimit = 1024;
const waitingMs = 10_000;
/** Of those that are being told why. */
const farewells = 256;
/** When somebody waits, those that have been silent for so long leave first: a client speaks as soon as it is connected. */
const silentMs = 5_000;

/** What a listener may have open for so many that are served. */
export function mostOpen(limit: number): number {
  return limit + waitingLimit + farewells;
}

export function connectionMetrics(metrics: Metrics): ConnectionMetrics {
  return {
    open: metrics.gauge('connections', 'Connections to the sockets of berthd.', ['server', 'state']),
    refused: metrics.counter('connections_refused_total', 'Connections that got no place in time.', ['server']),
  };
}

export interface ServedConnectionsOptions {
  /** For log and metrics. */
  readonly server: 'cri' | 'admin';
  /** Served at a time. */
  readonly limit: number;
  /** What the owner can change, for the sentence. */
  readonly remedy: string;
  readonly serve: (socket: Socket) => void;
  /** Tells the client why, in the words of its protocol. The connection is closed afterwards. */
  readonly refuse: (socket: Socket, why: string) => void;
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: ConnectionMetrics;
  readonly waiting?: { readonly limit: number; readonly ms: number };
  /** Without it, whoever has a place may be silent for as long as he likes. */
  readonly handshake?: Handshake;
}

/** What a client sends before anything else: whoever has sent less of it has not spoken yet, and is cut when time is up. */
export interface Handshake {
  readonly bytes: number;
  readonly ms: number;
}

export interface ConnectionMetrics {
  readonly open: GaugeMetric<'server' | 'state'>;
  readonly refused: CounterMetric<'server'>;
}

/**
 * Connections of which everybody is served who finds a place: the next ones wait for one to become free, and are told why
 * when none does in time, or when too many wait already. Whoever says nothing keeps no place from those that do.
 */
export class ServedConnections {
  readonly #options: ServedConnectionsOptions;
  readonly #served = new Set<Socket>();
  /** In the order of their coming. */
  readonly #waiting = new Map<Socket, NodeJS.Timeout>();
  /** Served ones that had not spoken when they were last looked at, in the order of their coming. */
  readonly #silent = new Map<Socket, { readonly sinceMs: number; readonly timer: NodeJS.Timeout }>();
  readonly #full: OnceAMinute;
  readonly #cut: OnceAMinute;
  #ended = false;

  constructor(options: ServedConnectionsOptions) {
    this.#options = options;
    this.#full = new OnceAMinute(options.clock);
    this.#cut = new OnceAMinute(options.clock);
    this.#count();
  }

  add(socket: Socket): void {
    socket.once('close', () => this.#leave(socket));
    if (this.#ended) socket.destroy();
    else if (this.#hasPlace() || this.#makePlace()) this.#serve(socket);
    else this.#wait(socket);
  }

  #hasPlace(): boolean {
    return this.#served.size < this.#options.limit;
  }

  #wait(socket: Socket): void {
    this.#sayFull();
    const { limit, ms } = this.#options.waiting ?? { limit: waitingLimit, ms: waitingMs };
    if (this.#waiting.size >= limit) {
      this.#refuse(socket);
      return;
    }
    this.#waiting.set(
      socket,
      setTimeout(() => this.#late(socket), ms),
    );
    this.#count();
  }

  get served(): ReadonlySet<Socket> {
    return this.#served;
  }

  /** Whoever waits is let go, and nobody is served any more. */
  end(): void {
    this.#ended = true;
    for (const [socket, timer] of this.#waiting) {
      clearTimeout(timer);
      socket.destroy();
    }
    this.#waiting.clear();
    this.#count();
  }

  #serve(socket: Socket): void {
    this.#served.add(socket);
    this.#expectHandshake(socket);
    this.#count();
    this.#options.serve(socket);
  }

  #leave(socket: Socket): void {
    clearTimeout(this.#waiting.get(socket));
    this.#waiting.delete(socket);
    this.#giveUp(socket);
    this.#serveNext();
    this.#count();
  }

  #serveNext(): void {
    const [next] = this.#waiting;
    if (next === undefined || this.#ended || !this.#hasPlace()) return;
    clearTimeout(next[1]);
    this.#waiting.delete(next[0]);
    this.#serve(next[0]);
  }

  /** One whose time is up. Others may have become silent for too long meanwhile. */
  #late(socket: Socket): void {
    this.#makePlace();
    if (this.#waiting.has(socket)) this.#refuse(socket);
  }

  #expectHandshake(socket: Socket): void {
    const { handshake, clock } = this.#options;
    if (handshake === undefined) return;
    const timer = setTimeout(() => {
      if (this.#hasSpoken(socket)) this.#forgetSilent(socket);
      else this.#cutSilent(socket);
      this.#serveNext();
    }, handshake.ms);
    this.#silent.set(socket, { sinceMs: clock.monotonicMs(), timer });
  }

  #hasSpoken(socket: Socket): boolean {
    return socket.bytesRead >= (this.#options.handshake?.bytes ?? 0);
  }

  /** Takes places from silent ones for all who wait, and for one more. @returns whether there is that one, too */
  #makePlace(): boolean {
    const latestMs = this.#options.clock.monotonicMs() - silentMs;
    for (const [socket, { sinceMs }] of this.#silent) {
      if (sinceMs > latestMs || this.#hasPlace()) break;
      if (this.#hasSpoken(socket)) this.#forgetSilent(socket);
      else this.#cutSilent(socket);
      this.#serveNext();
    }
    return this.#hasPlace();
  }

  #cutSilent(socket: Socket): void {
    const { server, log } = this.#options;
    this.#giveUp(socket);
    socket.destroy();
    this.#cut.say((times) => log.warn({ server, times }, 'a connection was closed on which its client said nothing'));
  }

  #forgetSilent(socket: Socket): void {
    clearTimeout(this.#silent.get(socket)?.timer);
    this.#silent.delete(socket);
  }

  #giveUp(socket: Socket): void {
    this.#forgetSilent(socket);
    this.#served.delete(socket);
  }

  #refuse(socket: Socket): void {
    this.#waiting.delete(socket);
    this.#count();
    this.#options.metrics.refused.add({ server: this.#options.server });
    this.#options.refuse(socket, this.#why());
  }

  #why(): string {
    const { server, limit, remedy } = this.#options;
    return `the ${server} socket serves ${limit} connections, which is the limit: ${remedy}`;
  }

  #sayFull(): void {
    const { server, log } = this.#options;
    this.#full.say((times) => log.warn({ server, times, waiting: this.#waiting.size }, this.#why()));
  }

  #count(): void {
    const { server, metrics } = this.#options;
    metrics.open.set({ server, state: 'served' }, this.#served.size);
    metrics.open.set({ server, state: 'waiting' }, this.#waiting.size);
  }
}
