import type { Floor } from './floor.ts';
import type { Latency, Series } from './latency.ts';
import type { RuntimeMemory } from './memory.ts';
import type { RuntimeName } from './options.ts';
import type { NetworkMode } from './pod-config.ts';
import type { PodTimes } from './pod-life.ts';
import { pairedRatio, summarize, type Summary } from './stats.ts';

/** A time that is compared: the sum of one or more calls of a pod's life. */
interface Measure {
  readonly title: string;
  readonly mode: NetworkMode;
  readonly of: readonly (keyof PodTimes)[];
  /** How many times faster than the peer Berth has to be. */
  readonly goal?: number;
}

const toRunning = ['RunPodSandbox', 'CreateContainer', 'StartContainer'] as const;

function podToRunning(title: string, mode: NetworkMode, goal: number): readonly Measure[] {
  return [{ title, mode, of: toRunning, goal }, ...toRunning.map((call) => ({ title: `  ${call}`, mode, of: [call] }))];
}

const measures: readonly Measure[] = [
  ...podToRunning('pod to running, own network', 'own', 8),
  ...podToRunning('pod to running, host network', 'host', 5),
  { title: 'ExecSync', mode: 'own', of: ['ExecSync'], goal: 8 },
  { title: 'stop container and pod', mode: 'own', of: ['StopContainer', 'StopPodSandbox'] },
  { title: 'remove container and pod', mode: 'own', of: ['RemoveContainer', 'RemovePodSandbox'] },
  { title: 'stop, host network', mode: 'host', of: ['StopContainer', 'StopPodSandbox'] },
  { title: 'remove, host network', mode: 'host', of: ['RemoveContainer', 'RemovePodSandbox'] },
  { title: 'empty call (Version)', mode: 'own', of: ['Version'] },
];

export interface Comparison {
  readonly title: string;
  readonly peer: Summary | undefined;
  readonly berth: Summary | undefined;
  /** Of the medians, and the median of pod by pod ratios. */
  readonly ratio: number | undefined;
  readonly pairedRatio: number | undefined;
  readonly goal: number | undefined;
}

export interface Goal {
  readonly title: string;
  readonly value: string;
  readonly wanted: string;
  readonly met: boolean;
}

/** Everything that one run found out, as it is written to the JSON file. */
export interface Results {
  readonly date: string;
  readonly machine: { readonly kernel: string; readonly cpus: number; readonly model: string };
  readonly versions: Readonly<Record<string, string>>;
  readonly options: { readonly pods: number; readonly warmup: number; readonly idleSeconds: number };
  readonly latency: Latency | undefined;
  readonly floor: readonly Floor[];
  readonly memory: readonly RuntimeMemory[];
}

function samplesOf(series: Series | undefined, measure: Measure): readonly number[] | undefined {
  return series?.times.map((times) => measure.of.reduce((sum, call) => sum + times[call], 0));
}

export function seriesOf(latency: Latency, runtime: RuntimeName, mode: NetworkMode): Series | undefined {
  return latency.series.find((one) => one.runtime === runtime && one.mode === mode);
}

export function compare(latency: Latency): readonly Comparison[] {
  return measures.map((measure) => {
    const peer = samplesOf(seriesOf(latency, 'containerd', measure.mode), measure);
    const berth = samplesOf(seriesOf(latency, 'berth', measure.mode), measure);
    const both = peer !== undefined && berth !== undefined;
    return {
      title: measure.title,
      peer: peer && summarize(peer),
      berth: berth && summarize(berth),
      ratio: both ? summarize(peer).p50 / summarize(berth).p50 : undefined,
      pairedRatio: both ? pairedRatio(peer, berth) : undefined,
      goal: measure.goal,
    };
  });
}

const helperGoalKib = 100;
const daemonGoalMb = 60;

/** The goals that can be judged by what was measured. */
export function judge(results: Results): readonly Goal[] {
  const goals: Goal[] = [];
  for (const { title, ratio, goal } of results.latency === undefined ? [] : compare(results.latency)) {
    if (goal === undefined || ratio === undefined) continue;
    goals.push({ title, value: `${ratio.toFixed(1)} times faster`, wanted: `≥ ${goal}`, met: ratio >= goal });
  }
  const memory = results.memory.find((one) => one.runtime === 'berth');
  // With few pods the programs' own text, which all of them share, is most of it: the goal is about many.
  for (const { pods, pssPerPod } of memory?.helpers.slice(-1) ?? []) {
    const title = `helper memory a pod, ${pods} standing`;
    const met = pssPerPod <= helperGoalKib;
    goals.push({ title, value: `${pssPerPod.toFixed(1)} KiB PSS`, wanted: `≤ ${helperGoalKib}`, met });
  }
  if (memory !== undefined) {
    const megabytes = (memory.daemon.privateKib * 1024) / 1e6;
    const title = `berthd with ${memory.helpers.at(-1)?.pods} pods`;
    const met = megabytes <= daemonGoalMb;
    goals.push({ title, value: `${megabytes.toFixed(1)} MB private`, wanted: `≤ ${daemonGoalMb}`, met });
  }
  return goals;
}
