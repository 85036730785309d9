import { pairedRatio, summarize } from '../stats.ts';

export interface PullSample {
  /** Until PullImage answered. */
  readonly ms: number;
  /** Until a sync of the file system after it had ended as well. */
  readonly durableMs: number;
  /** Processor time of the runtime and all it started. */
  readonly cpuMs: number;
}

export interface PullSeries {
  readonly title: string;
  readonly packedBytes: number;
  readonly samples: Readonly<Record<string, readonly PullSample[]>>;
}

type Stages = readonly Readonly<Record<string, unknown>>[];

const rows: readonly (readonly [title: string, of: (sample: PullSample) => number])[] = [
  ['pull', ({ ms }) => ms],
  ['pull and on disk', ({ durableMs }) => durableMs],
  ['processor time', ({ cpuMs }) => cpuMs],
];

export function renderPulls(
  versions: Readonly<Record<string, string>>,
  series: readonly PullSeries[],
  stages: Stages,
): string {
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const lines = [`${named.join(', ')}; medians in ms, ratio: containerd over berth, pair by pair`, ''];
  for (const one of series) {
    lines.push(`${one.title} (${(one.packedBytes / 1e6).toFixed(0)} MB packed)`);
    for (const [title, of] of rows) lines.push(row(title, one, of));
  }
  if (stages.length > 0) lines.push('', 'berthd’s own times of its last pull of each, in ms:', ...lastStages(stages));
  return lines.join('\n');
}

function row(title: string, { samples }: PullSeries, of: (sample: PullSample) => number): string {
  const values = (name: string): readonly number[] => (samples[name] ?? []).map(of);
  const cells = Object.keys(samples).map((name) => {
    const { p50, min, max } = summarize(values(name));
    return `${name} ${p50.toFixed(0)} (${min.toFixed(0)}–${max.toFixed(0)})`.padEnd(34);
  });
  const [berth, peer] = [values('berth'), values('containerd')];
  const ratio = berth.length > 0 && peer.length > 0 ? `ratio ${pairedRatio(peer, berth).toFixed(2)}` : '';
  return `  ${title.padEnd(18)}${cells.join('')}${ratio}`;
}

function lastStages(stages: Stages): readonly string[] {
  const last = new Map(stages.map((line) => [String(line['reference']), line]));
  return [...last].map(
    ([reference, line]) => `  ${reference} ${JSON.stringify(line['ms'])} ${JSON.stringify(line['unpack'] ?? {})}`,
  );
}
