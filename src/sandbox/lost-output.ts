import type { Logger } from '#base/log';
import type { CounterMetric, Metrics } from '#base/metrics';
import type { Container } from './pod.ts';

/**
 * What of containers' output is in no log: the disk was full or failed, and a container is not stopped for that. Told in the
 * log once for each container by every berthd, in its status, by `berth check` while it is there, and counted.
 */
export class LostOutput {
  readonly #log: Logger;
  readonly #bytes: CounterMetric<never>;

  constructor({ log, metrics }: { readonly log: Logger; readonly metrics: Metrics }) {
    this.#log = log;
    this.#bytes = metrics.counter(
      'log_bytes_dropped_total',
      'Bytes of containers’ logs that could not be written while berthd ran: the disk was full or failed.',
    );
  }

  /** @param bytes since the container was made */
  told(container: Container, bytes: number): void {
    const more = bytes - container.logBytesDropped;
    if (more <= 0) return;
    this.#known(container, bytes);
    this.#bytes.add({}, more);
  }

  /** An earlier berthd may have counted it; if none was there, only the log, the status and `berth check` tell of it. */
  adopted(container: Container, bytes: number): void {
    if (bytes > container.logBytesDropped) this.#known(container, bytes);
  }

  #known(container: Container, bytes: number): void {
    if (container.logBytesDropped === 0) {
      const { id: containerId, podId, made } = container;
      this.#log.warn(
        { podId, containerId, log: made.logPath },
        'output of a container is lost: its log cannot be written',
      );
    }
    container.logBytesDropped = bytes;
  }
}

/** Undefined: nothing is lost. */
export function lostOutputOf({ id, made, logBytesDropped }: Container): string | undefined {
  if (logBytesDropped === 0) return undefined;
  return `output of container ${id}: ${logBytesDropped} bytes are not in its log ${made.logPath}: the disk was full or failed`;
}
