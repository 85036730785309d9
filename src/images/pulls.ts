import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '#base/clock';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError, toBerthError } from '#base/errors';
import type { Logger } from '#base/log';
import { Slots } from '#base/slots';
import type { Image, PullRequest, PullStatus } from './image-store.ts';
import { pullStages } from './image-store.ts';
import type { PullMetrics } from './pull-metrics.ts';
import { PullProgress } from './pull-progress.ts';
import type { Reference } from './reference.ts';
import { parseReference, repoDigestOf, repoTagOf } from './reference.ts';
import type { RegistryCredentials } from './registry/registry.ts';

export interface PullsOptions {
  readonly clock: Clock;
  readonly metrics: PullMetrics;
  /** Pulls at once; the others wait in their order. */
  readonly atOnce: number;
  readonly run: (ctx: Ctx, pull: WantedImage, progress: PullProgress) => Promise<Image>;
}

export interface WantedImage {
  readonly reference: Reference;
  readonly credentials?: RegistryCredentials | undefined;
}

interface Waiter {
  readonly ctx: Ctx;
  readonly onProgress: PullRequest['onProgress'];
}

interface Flight {
  readonly progress: PullProgress;
  readonly ending: Deadline;
  readonly waiters: Set<Waiter>;
  readonly result: Promise<Image>;
  ended: boolean;
}

const maxFlights = 1000;
const reportMs = 100;
const logMs = 10_000;

/** The pulls under way: one for each name and credentials, however many ask for it. */
export class Pulls {
  readonly #options: PullsOptions;
  readonly #slots: Slots;
  /** Those that can be joined. */
  readonly #joinable = new Map<string, Flight>();
  readonly #flights = new Set<Flight>();
  /** Passwords are not kept as keys. */
  readonly #salt = randomBytes(32);

  constructor(options: PullsOptions) {
    this.#options = options;
    this.#slots = new Slots(options.atOnce);
    options.metrics.watch({
      running: () => this.#flights.size - this.#slots.waiting,
      waiting: () => this.#slots.waiting,
    });
  }

  list(): readonly PullStatus[] {
    return [...this.#flights].map(statusOf);
  }

  /** Joins the pull under way or begins one; whoever leaves last ends it, and waits until it has cleaned up. */
  async pull(ctx: Ctx, { reference: text, credentials, onProgress }: PullRequest): Promise<Image> {
    const reference = parseReference(text);
    refuseNoHost(text, reference);
    ctx.signal.throwIfAborted();
    const key = this.#keyOf(reference, credentials);
    const flight = this.#joinable.get(key) ?? this.#start(ctx, key, { reference, credentials });
    const waiter: Waiter = { ctx, onProgress };
    flight.waiters.add(waiter);
    tell(waiter, flight);
    try {
      return await raceSignal(flight.result, ctx.signal);
    } finally {
      flight.waiters.delete(waiter);
      if (flight.waiters.size === 0 && !flight.ended) {
        // Whoever comes now starts anew.
        if (this.#joinable.get(key) === flight) this.#joinable.delete(key);
        flight.ending.abort(ctx.signal.reason);
        await Promise.allSettled([flight.result]);
      }
    }
  }

  /** Ends all of them and waits for that. */
  async close(): Promise<void> {
    const flights = [...this.#flights];
    const reason = new BerthError('UNAVAILABLE', 'berthd is shutting down');
    for (const flight of flights) flight.ending.abort(reason);
    await Promise.allSettled(flights.map((flight) => flight.result));
  }

  #start(ctx: Ctx, key: string, wanted: WantedImage): Flight {
    if (this.#flights.size >= maxFlights) {
      throw new BerthError('RESOURCE_EXHAUSTED', `${maxFlights} pulls are under way or waiting: try again later`);
    }
    const name = nameOf(wanted.reference);
    const { clock, metrics } = this.#options;
    let reportedMs = -Infinity;
    const onChange = (stageChanged: boolean): void => {
      const now = clock.monotonicMs();
      if (!stageChanged && now - reportedMs < reportMs) return;
      reportedMs = now;
      for (const waiter of flight.waiters) tell(waiter, flight);
    };
    const progress = new PullProgress({
      reference: name,
      clock,
      // Nobody who need not wait is told that he does.
      stage: this.#flights.size >= this.#options.atOnce ? 'queued' : 'resolve',
      onChange,
      onBytes: (bytes) => metrics.downloaded(bytes),
    });
    // The pull outlives the caller that began it: nothing of its context but the log is kept.
    const ending = new Deadline(Infinity, `pull ${name}`);
    const onStage = (stage: string): void => {
      const known = pullStages.find((one) => one === stage);
      if (known) progress.enter(known);
    };
    const own = createCtx({ signal: ending.signal, log: ctx.log, requestId: ctx.requestId, onStage });
    const waiters = new Set<Waiter>();
    const result = this.#run(own, wanted, { progress, waiters }).finally(() => {
      flight.ended = true;
      this.#flights.delete(flight);
      if (this.#joinable.get(key) === flight) this.#joinable.delete(key);
      ending[Symbol.dispose]();
    });
    // Every waiter may be gone.
    result.catch(() => undefined);
    const flight: Flight = { progress, ending, waiters, result, ended: false };
    this.#joinable.set(key, flight);
    this.#flights.add(flight);
    return flight;
  }

  async #run(
    ctx: Ctx,
    wanted: WantedImage,
    { progress, waiters }: Pick<Flight, 'progress' | 'waiters'>,
  ): Promise<Image> {
    // Not before its flight is in the table.
    await Promise.resolve();
    const { clock, metrics, run } = this.#options;
    const since = clock.monotonicMs();
    const seconds = (): number => (clock.monotonicMs() - since) / 1000;
    const logging = logNowAndThen(ctx.log, () => statusOf({ progress, waiters }), seconds);
    try {
      using _slot = await this.#slots.acquire(ctx.signal);
      const image = await run(ctx, wanted, progress);
      metrics.ended('OK', seconds(), progress.layers);
      const reused = progress.layers.filter(({ state }) => state === 'present').length;
      const fields = { reference: nameOf(wanted.reference), imageRef: image.id, ms: progress.times() };
      ctx.log.info({ ...fields, layers: progress.layers.length, reused }, 'image pulled');
      return image;
    } catch (error) {
      const failure = toBerthError(error, `pull ${nameOf(wanted.reference)}`);
      metrics.ended(failure.code, seconds(), progress.layers);
      throw failure;
    } finally {
      clearInterval(logging);
    }
  }

  #keyOf(reference: Reference, credentials: RegistryCredentials | undefined): string {
    const { username, password, auth, serverAddress, identityToken, registryToken } = credentials ?? noCredentials;
    const secret = JSON.stringify([username, password, auth, serverAddress, identityToken, registryToken]);
    return `${nameOf(reference)} ${createHmac('sha256', this.#salt).update(secret).digest('base64')}`;
  }
}

/** To the grammar capitals make the first part of a name a registry; one without a dot or port is a slip of the keyboard. */
function refuseNoHost(text: string, { domain }: Reference): void {
  if (/[.:]/.test(domain) || domain === domain.toLowerCase()) return;
  throw new BerthError(
    'INVALID_ARGUMENT',
    `image name ${JSON.stringify(text)}: names are lower case, and ${domain} is no registry: that has a dot or a port`,
  );
}

const noCredentials: RegistryCredentials = {
  username: '',
  password: '',
  auth: '',
  serverAddress: '',
  identityToken: '',
  registryToken: '',
};

function nameOf(reference: Reference): string {
  return repoDigestOf(reference) ?? repoTagOf(reference) ?? '';
}

function statusOf({ progress, waiters }: Pick<Flight, 'progress' | 'waiters'>): PullStatus {
  return progress.status(waiters.size);
}

function tell({ ctx, onProgress }: Waiter, flight: Flight): void {
  ctx.stage(flight.progress.stage);
  onProgress?.(statusOf(flight));
}

/** A pull that takes long says so, for whoever has nothing but the log. */
function logNowAndThen(log: Logger, status: () => PullStatus, seconds: () => number): NodeJS.Timeout {
  return setInterval(() => {
    const { reference, stage, waiters, layers } = status();
    const sum = (of: (layer: PullStatus['layers'][number]) => number): number =>
      layers.reduce((total, layer) => total + of(layer), 0);
    log.info(
      {
        ...{ reference, stage, waiters, seconds: Math.round(seconds()), layers: layers.length },
        done: layers.filter(({ state }) => state === 'done' || state === 'present').length,
        downloaded: sum((layer) => layer.downloaded),
        bytes: sum((layer) => (layer.state === 'present' ? 0 : layer.size)),
      },
      'a pull is under way',
    );
  }, logMs).unref();
}
