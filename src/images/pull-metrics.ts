import type { Metrics } from '#base/metrics';
import { imageDocuments, type UnknownImageFields } from './image-fields.ts';
import type { LayerStatus } from './image-store.ts';

/** What pulls tell Prometheus. */
export interface PullMetrics {
  /** @param result an error code, or OK */
  ended(result: string, seconds: number, layers: readonly LayerStatus[]): void;
  downloaded(bytes: number): void;
  watch(counts: { readonly running: () => number; readonly waiting: () => number }): void;
}

export const noPullMetrics: PullMetrics = {
  ended: () => undefined,
  downloaded: () => undefined,
  watch: () => undefined,
};

const secondsBuckets = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800];

export function pullMetrics(metrics: Metrics): PullMetrics {
  const seconds = metrics.histogram(
    'image_pull_seconds',
    'Pulls that have ended, by result.',
    ['result'],
    secondsBuckets,
  );
  const bytes = metrics.counter('image_pull_bytes_total', 'Bytes of layers that came from registries.');
  const layers = metrics.counter('image_pull_layers_total', 'Layers of pulled images, by where they came from.', [
    'from',
  ]);
  return {
    ended: (result, took, all) => {
      seconds.observe({ result }, took);
      for (const [from, state] of [
        ['registry', 'done'],
        ['disk', 'present'],
      ] as const) {
        const count = all.filter((layer) => layer.state === state).length;
        layers.add({ from }, count);
      }
    },
    downloaded: (count) => bytes.add({}, count),
    watch: ({ running, waiting }) => {
      metrics.gaugeOf('image_pulls_running', 'Pulls under way.', running);
      metrics.gaugeOf('image_pulls_waiting', 'Pulls that wait for others to end.', waiting);
    },
  };
}

/** Counts fields of images that this version does not know. */
export function unknownFieldsMetric(metrics: Metrics): (fields: UnknownImageFields) => void {
  const help = 'Fields of images that were pulled or loaded which this version does not know, by the document.';
  const counter = metrics.counter('image_unknown_fields_total', help, ['document']);
  return (fields) => {
    for (const document of imageDocuments) if (fields[document] > 0) counter.add({ document }, fields[document]);
  };
}
