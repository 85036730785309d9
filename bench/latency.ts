import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchNode } from './node/bench-node.ts';
import type { RuntimeUnderTest } from './node/runtime-under-test.ts';
import type { Options, RuntimeName } from './options.ts';
import type { NetworkMode } from './pod-config.ts';
import { timePod, type PodTimes, type StandingPod } from './pod-life.ts';
import { mean, percentile } from './stats.ts';

export const modes: readonly NetworkMode[] = ['own', 'host'];

export interface Series {
  readonly runtime: RuntimeName;
  readonly mode: NetworkMode;
  readonly times: readonly PodTimes[];
  /** Medians of the steps the runtime counted itself, if it was asked. */
  readonly steps: Readonly<Record<string, number>>;
  /** Of the daemon, its helpers and the pod, over the pod's whole life. */
  readonly cpuSecondsPerPod: number;
}

export interface Latency {
  readonly series: readonly Series[];
  /** Load average over a minute, while it was measured. */
  readonly load: { readonly mean: number; readonly max: number };
}

class Recorder {
  readonly runtime: RuntimeUnderTest;
  readonly mode: NetworkMode;
  readonly times: PodTimes[] = [];
  readonly cpu: number[] = [];
  readonly #askSteps: boolean;
  readonly #steps = new Map<string, number[]>();

  constructor(runtime: RuntimeUnderTest, mode: NetworkMode, askSteps: boolean) {
    this.runtime = runtime;
    this.mode = mode;
    this.#askSteps = askSteps;
  }

  get steps(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#steps].map(([step, samples]) => [step, percentile(samples, 0.5)]));
  }

  async measure(node: BenchNode, name: string, restMs: number, counted: boolean): Promise<void> {
    const before = node.cpuSeconds(this.runtime.group);
    const keepSteps = async ({ podId }: StandingPod): Promise<void> => {
      for (const [step, ms] of Object.entries((await this.runtime.steps?.(podId)) ?? {})) {
        this.#steps.set(step, [...(this.#steps.get(step) ?? []), ms]);
      }
    };
    const times = await timePod(this.runtime, name, this.mode, this.#askSteps && counted ? keepSteps : undefined);
    // What a runtime does after its last answer is its own, too.
    await sleep(restMs);
    if (!counted) return;
    this.cpu.push(node.cpuSeconds(this.runtime.group) - before);
    this.times.push(times);
  }
}

/** The runtimes alternate pod by pod, and who begins alternates, too: both meet the same machine. */
export async function measureLatency(
  node: BenchNode,
  runtimes: readonly RuntimeUnderTest[],
  options: Options,
  progress: (text: string) => void,
): Promise<Latency> {
  const recorders = modes.map((mode) => runtimes.map((runtime) => new Recorder(runtime, mode, options.steps)));
  const loads: number[] = [];
  const total = options.warmup + options.pods;
  for (let i = 0; i < total; i++) {
    for (const row of recorders) {
      for (const recorder of i % 2 === 0 ? row : row.toReversed()) {
        const name = `${recorder.mode}-${i}`;
        await recorder.measure(node, name, options.restMs, i >= options.warmup);
      }
    }
    if (i >= options.warmup) loads.push(loadavg()[0]!);
    progress(`pods ${i + 1}/${total}`);
  }
  const series = recorders.flat().map(({ runtime, mode, times, steps, cpu }) => ({
    runtime: runtime.name,
    mode,
    times,
    steps,
    cpuSecondsPerPod: mean(cpu),
  }));
  return { series, load: { mean: mean(loads), max: Math.max(...loads) } };
}
