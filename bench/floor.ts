import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { BenchNode } from './node/bench-node.ts';
import type { Options } from './options.ts';
import type { NetworkMode } from './pod-config.ts';
import type { Prepared } from './prepare.ts';
import { percentile } from './stats.ts';

/** What the same system calls cost when nothing else is done. */
export interface Floor {
  readonly mode: NetworkMode;
  /** Milliseconds from nothing to the container's execve, pod by pod. */
  readonly running: readonly number[];
  /** Milliseconds to kill and remove it all. */
  readonly removed: readonly number[];
  /** Median of each stage. */
  readonly stages: Readonly<Record<string, number>>;
}

/** One line of the program's output: stage names with microseconds. */
type Line = Readonly<Record<string, number>>;

export async function measureFloor(node: BenchNode, prepared: Prepared, options: Options): Promise<readonly Floor[]> {
  const directory = path.join(node.directory, 'floor');
  const layer = path.join(directory, 'layer');
  mkdirSync(layer, { recursive: true });
  await node.run(['tar', '-C', layer, '-xf', prepared.workloadLayer]);
  const floors: Floor[] = [];
  for (const mode of ['own', 'host'] as const) {
    const total = options.pods + options.warmup;
    const output = await node.run([prepared.floor, directory, node.name, mode, String(total), String(options.restMs)]);
    const lines = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
      .slice(options.warmup);
    floors.push(summarizeLines(mode, lines));
  }
  return floors;
}

function summarizeLines(mode: NetworkMode, lines: readonly Line[]): Floor {
  const column = (name: string): readonly number[] => lines.map((line) => line[name]! / 1000);
  const names = Object.keys(lines[0] ?? {}).filter((name) => name !== 'running' && name !== 'removed');
  const stages = Object.fromEntries(names.map((name) => [name, percentile(column(name), 0.5)]));
  return { mode, running: column('running'), removed: column('removed'), stages };
}
