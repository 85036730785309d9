import type { Logger } from '#base/log';
import type { Metrics } from '#base/metrics';
import { unattended } from '#base/unattended';
import type { LiveConfig, ReloadReport } from './live-config.ts';

export interface ReloaderOptions {
  readonly live: Pick<LiveConfig, 'reload'>;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Is told of each reload (systemd). */
  readonly manager: { reloading(): Promise<void>; reloaded(status: string): Promise<void> };
}

/** Reloads the configuration and tells of it: SIGHUP's, and the owner's by the admin socket. */
export function reloader({ live, log, metrics, manager }: ReloaderOptions): () => ReloadReport {
  const reloads = metrics.counter('config_reloads_total', 'Reloads of the configuration, by result.', ['result']);
  return () => {
    unattended(log, 'telling of a reload', manager.reloading());
    const report = live.reload();
    const done = report.error === '';
    reloads.add({ result: done ? 'done' : 'refused' });
    if (done) log.info({ changes: report.changes }, 'the config was reloaded');
    else log.error({ error: report.error }, 'the config was not reloaded: berthd goes on with the old one');
    unattended(log, 'telling of a reload', manager.reloaded(done ? 'serving' : `config refused: ${report.error}`));
    return report;
  };
}
