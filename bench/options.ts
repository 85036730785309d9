import { parseArgs } from 'node:util';

export const runtimeNames = ['berth', 'containerd'] as const;
export type RuntimeName = (typeof runtimeNames)[number];

export const partNames = ['latency', 'floor', 'memory'] as const;
export type PartName = (typeof partNames)[number];

export interface Options {
  readonly runtimes: readonly RuntimeName[];
  readonly parts: readonly PartName[];
  /** Pods that are measured, of each runtime and network mode, after `warmup` more that are not. */
  readonly pods: number;
  readonly warmup: number;
  /** Milliseconds of rest after each pod's removal, so that the kernel's own cleaning up does not meet the next pod. */
  readonly restMs: number;
  /** Pods that stand at once when memory is measured, and how long they are left alone before. */
  readonly memoryPods: number;
  readonly idleSeconds: number;
  /** Whether a runtime is asked for the steps it counted itself. */
  readonly steps: boolean;
  /** Where a CPU profile of berthd is written, if anywhere. */
  readonly cpuProfile: string | undefined;
  readonly json: string | undefined;
}

export const usage = `node bench/main.ts [options]: measures Berth beside containerd + runc

  --pods N           pods of each runtime and network mode (200)
  --warmup N         pods before those, not counted (20)
  --memory-pods N    pods that stand at once when memory is measured (100)
  --idle SECONDS     idle time before memory is measured (30)
  --rest MS          rest after each pod (30)
  --quick            20 pods, 3 to warm up, 10 for memory, 3 s idle
  --only RUNTIME     berth or containerd
  --parts LIST       of latency, floor, memory (all)
  --profile          Berth alone: 50 pods, latency only, with the steps berthd counts itself
  --cpu-profile DIR  with a CPU profile of berthd, written to DIR
  --json FILE        the results as JSON (.cache/bench/result.json)`;

/** Thrown for a command line that means nothing; its message is for the user. */
export class UsageError extends Error {}

function count(text: string, name: string, min: number): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value) || value < min) {
    throw new UsageError(`--${name}: expected a whole number from ${min} on, not ${JSON.stringify(text)}`);
  }
  return value;
}

function chosen<T extends string>(text: string, all: readonly T[], name: string): readonly T[] {
  return text.split(',').map((word) => {
    const found = all.find((one) => one === word);
    if (found === undefined) throw new UsageError(`--${name}: expected ${all.join(', ')}, not ${JSON.stringify(word)}`);
    return found;
  });
}

/** Undefined when help was asked for. */
export function parseOptions(argv: readonly string[]): Options | undefined {
  const { values } = parse(argv);
  if (values.help === true) return undefined;
  const { quick = false, profile = false } = values;
  const number = (name: 'pods' | 'warmup' | 'rest' | 'memory-pods' | 'idle', usual: number, min: number): number =>
    values[name] === undefined ? usual : count(values[name], name, min);
  return {
    runtimes: profile
      ? ['berth']
      : values.only === undefined
        ? runtimeNames
        : chosen(values.only, runtimeNames, 'only'),
    parts: values.parts === undefined ? (profile ? ['latency'] : partNames) : chosen(values.parts, partNames, 'parts'),
    pods: number('pods', profile ? 50 : quick ? 20 : 200, 1),
    warmup: number('warmup', profile ? 10 : quick ? 3 : 20, 0),
    restMs: number('rest', 30, 0),
    memoryPods: number('memory-pods', quick ? 10 : 100, 1),
    idleSeconds: number('idle', quick ? 3 : 30, 0),
    steps: profile,
    cpuProfile: values['cpu-profile'],
    json: values.json,
  };
}

function parse(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...argv],
      options: {
        pods: text,
        warmup: text,
        rest: text,
        'memory-pods': text,
        idle: text,
        only: text,
        parts: text,
        json: text,
        'cpu-profile': text,
        quick: flag,
        profile: flag,
        help: flag,
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
