import type { Metrics } from './metrics.ts';
import type { PinoLog } from './pino-log.ts';

/**
 * What only a bug leads to. An exception that nobody caught has left something half done: a daemon in an unknown state is
 * worse than one that starts anew and adopts its pods. A failed promise that nobody holds has cut nothing short: it is told
 * and counted, and no pod loses its node for another's failure.
 *
 * @param end ends the process, when the log has been written
 */
export function watchForBugs(log: PinoLog, metrics: Metrics, end: () => void): void {
  const unheld = metrics.counter('unheld_failures_total', 'Failures that nobody waited for: bugs in Berth.');
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'uncaught exception: this is a bug in Berth');
    log.flush(1000).then(end, end);
  });
  process.on('unhandledRejection', (error) => {
    unheld.add({});
    log.error({ err: error }, 'unhandled rejection: this is a bug in Berth; berthd goes on');
  });
}
