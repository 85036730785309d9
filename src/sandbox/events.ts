import { BerthError } from '#base/errors';
import type { CounterMetric, Metrics } from '#base/metrics';
import type { ContainerView, PodView } from './pod.ts';
import type { Transition } from './states.ts';

/** A change of a container or pod, with the pod as it was right after. */
export interface ContainerEvent {
  /** A container's id, or the pod's. */
  readonly id: string;
  readonly type: Transition;
  readonly createdAtNs: bigint;
  readonly pod: PodView | undefined;
  readonly containers: readonly ContainerView[];
}

/** The events of one listener, in order. */
export interface EventSubscription extends Disposable {
  /** The next event; undefined once the subscription is disposed. Throws RESOURCE_EXHAUSTED for one that fell behind. */
  next(): Promise<ContainerEvent | undefined>;
}

/** Of one listener. A node of 500 pods that starts or drains makes some 5,000 at once, and a listener may pause. */
const queueLimit = 10_000;
/** Each costs a queue, and a message for every event. */
const listenerLimit = 256;

/** Tells every listener every event. One that falls too far behind is cut off, so that it costs bounded memory. */
export class ContainerEvents {
  readonly #subscribers = new Set<Subscriber>();
  readonly #cut: CounterMetric<never>;

  constructor(metrics: Metrics) {
    this.#cut = metrics.counter(
      'event_subscribers_cut_total',
      'Listeners to container events that fell behind and were cut',
    );
  }

  get size(): number {
    return this.#subscribers.size;
  }

  /** `make` is called only when somebody listens. Call after the record is written, never before. */
  publish(make: () => ContainerEvent): void {
    if (this.#subscribers.size === 0) return;
    const event = make();
    for (const subscriber of this.#subscribers) {
      if (subscriber.push(event)) continue;
      this.#subscribers.delete(subscriber);
      this.#cut.add({});
    }
  }

  /** @throws RESOURCE_EXHAUSTED when too many listen */
  subscribe(): EventSubscription {
    if (this.#subscribers.size >= listenerLimit) {
      throw new BerthError(
        'RESOURCE_EXHAUSTED',
        `${listenerLimit} clients listen to container events, which is the limit: end some first`,
      );
    }
    const subscriber = new Subscriber(() => this.#subscribers.delete(subscriber));
    this.#subscribers.add(subscriber);
    return subscriber;
  }
}

class Subscriber implements EventSubscription {
  readonly #queue: ContainerEvent[] = [];
  readonly #leave: () => void;
  #wake: (() => void) | undefined;
  #end: 'disposed' | 'behind' | undefined;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  /** False when there is no room: the subscriber is then cut. */
  push(event: ContainerEvent): boolean {
    if (this.#queue.length >= queueLimit) {
      this.#end = 'behind';
      this.#queue.length = 0;
    } else {
      this.#queue.push(event);
    }
    this.#wake?.();
    return this.#end === undefined;
  }

  async next(): Promise<ContainerEvent | undefined> {
    while (this.#queue.length === 0 && this.#end === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#end === 'behind') {
      throw new BerthError(
        'RESOURCE_EXHAUSTED',
        `this listener was ${queueLimit} events behind and is cut off: list the containers and listen again`,
      );
    }
    return this.#queue.shift();
  }

  [Symbol.dispose](): void {
    this.#end ??= 'disposed';
    this.#leave();
    this.#wake?.();
  }
}
