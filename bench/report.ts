import { compare, judge, seriesOf, type Results } from './figures.ts';
import { modes } from './latency.ts';
import { runtimeNames } from './options.ts';
import { summarize, type Summary } from './stats.ts';

const titleWidth = 32;
const columnWidth = 9;

function row(title: string, cells: readonly string[]): string {
  return title.padEnd(titleWidth) + cells.map((cell) => cell.padStart(columnWidth)).join('');
}

function milliseconds(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '-';
  return value < 10 ? value.toFixed(2) : value.toFixed(1);
}

function threePoints(summary: Summary | undefined): readonly string[] {
  return [summary?.p50, summary?.p95, summary?.p99].map((value) => milliseconds(value));
}

const points = ['p50', 'p95', 'p99'];

function latencyTable(results: Results): readonly string[] {
  const { latency } = results;
  if (latency === undefined) return [];
  const peer = ['containerd', '+ runc', ''];
  const lines = [
    row('milliseconds', [...peer, 'berth', '', '', 'ratio', 'paired']),
    row('', [...points, ...points, 'of p50', 'p50']),
  ];
  for (const line of compare(latency)) {
    const ratios = [line.ratio, line.pairedRatio].map((ratio) => ratio?.toFixed(1) ?? '-');
    const goal =
      line.goal === undefined || line.ratio === undefined ? '' : verdict(`≥ ${line.goal}`, line.ratio >= line.goal);
    lines.push(
      `${row(line.title, [...threePoints(line.peer), ...threePoints(line.berth), ...ratios])}  ${goal}`.trimEnd(),
    );
  }
  for (const floor of results.floor) {
    const title = `kernel floor, ${floor.mode} network`;
    const berth = seriesOf(latency, 'berth', floor.mode);
    const running = berth?.times.map((t) => t.RunPodSandbox + t.CreateContainer + t.StartContainer);
    const above =
      running === undefined
        ? ''
        : `  berth's p50 is ${(summarize(running).p50 / summarize(floor.running).p50).toFixed(1)} floors`;
    lines.push(`${row(title, ['', '', '', ...threePoints(summarize(floor.running))])}${above}`);
  }
  for (const mode of modes) {
    const cpu = runtimeNames.map((name) => seriesOf(latency, name, mode)?.cpuSecondsPerPod);
    const [berth, containerd] = cpu.map((seconds) => (seconds === undefined ? '-' : (seconds * 1000).toFixed(1)));
    lines.push(row(`CPU ms a pod's life, ${mode} network`, [containerd!, '', '', berth!]));
  }
  lines.push(`load average ${latency.load.mean.toFixed(2)} (highest ${latency.load.max.toFixed(2)})`);
  return lines;
}

function floorTable(results: Results): readonly string[] {
  return results.floor.map((floor) => {
    const stages = Object.entries(floor.stages).map(([name, value]) => `${name} ${value.toFixed(2)}`);
    return `kernel floor, ${floor.mode} network, p50 of stages in ms: ${stages.join(', ')}`;
  });
}

function stepsTable(results: Results): readonly string[] {
  return (results.latency?.series ?? [])
    .filter(({ steps }) => Object.keys(steps).length > 0)
    .map(({ runtime, mode, steps }) => {
      const medians = Object.entries(steps).map(([step, ms]) => `${step} ${ms.toFixed(2)}`);
      return `${runtime}'s own steps, ${mode} network, p50 in ms: ${medians.join(', ')}`;
    });
}

function memoryTable(results: Results): readonly string[] {
  if (results.memory.length === 0) return [];
  const lines = [row('memory', ['pods', 'PSS KiB', 'kernel', '  of that'])];
  for (const { runtime, helpers, daemon } of results.memory) {
    for (const { pods, pssPerPod, kernelPerPod, byName } of helpers) {
      const names = Object.entries(byName).map(([name, kib]) => `${name} ${kib.toFixed(1)}`);
      const cells = [String(pods), pssPerPod.toFixed(1), kernelPerPod?.toFixed(0) ?? '-'];
      lines.push(`${row(`${runtime}, helpers a pod`, cells)}  ${names.join(', ')}`);
    }
    const [mine, shared] = [daemon.privateKib, daemon.sharedKib].map((kib) => ((kib * 1024) / 1e6).toFixed(1));
    lines.push(`${row(`${runtime}, daemon`, [String(helpers.at(-1)?.pods)])}  ${mine} MB private, ${shared} MB shared`);
  }
  return lines;
}

function verdict(wanted: string, met: boolean): string {
  return `goal ${wanted}: ${met ? 'met' : 'NOT MET'}`;
}

export function renderReport(results: Results): string {
  const { machine, versions, options } = results;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const goals = judge(results).map(
    (goal) => row(goal.title, []) + `  ${goal.value}  ${verdict(goal.wanted, goal.met)}`,
  );
  const sections = [
    [
      `${named.join(', ')}; Linux ${machine.kernel}, ${machine.cpus} × ${machine.model}`,
      `${options.pods} pods each after ${options.warmup} to warm up, alternating; one connection each; log and RuntimeDefault seccomp on`,
    ],
    latencyTable(results),
    floorTable(results),
    stepsTable(results),
    memoryTable(results),
    goals,
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}
