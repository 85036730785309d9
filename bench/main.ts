import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import path from 'node:path';
import { checkPod } from './check-pod.ts';
import type { Results } from './figures.ts';
import { measureFloor } from './floor.ts';
import { measureLatency } from './latency.ts';
import { measureMemory, type RuntimeMemory } from './memory.ts';
import { BenchNode } from './node/bench-node.ts';
import { startBerth } from './node/berth.ts';
import { startContainerd } from './node/containerd.ts';
import type { RuntimeUnderTest } from './node/runtime-under-test.ts';
import { parseOptions, usage, UsageError, type Options, type RuntimeName } from './options.ts';
import { MissingError, prepare, type Prepared } from './prepare.ts';
import { renderReport } from './report.ts';

const terminal = process.stderr.isTTY;

/** One line that is written over on a terminal, and left out elsewhere. */
function progress(text: string): void {
  if (terminal) process.stderr.write(`\r\u001b[K${text}`);
}

function note(text: string): void {
  process.stderr.write(`${terminal ? '\r\u001b[K' : ''}bench: ${text}\n`);
}

function start(name: RuntimeName, node: BenchNode, prepared: Prepared, options: Options): Promise<RuntimeUnderTest> {
  switch (name) {
    case 'berth':
      return startBerth(node, prepared, options.cpuProfile);
    case 'containerd':
      return startContainerd(node, prepared);
  }
}

async function measure(node: BenchNode, prepared: Prepared, options: Options): Promise<Results> {
  const runtimes: RuntimeUnderTest[] = [];
  for (const name of options.parts.some((part) => part !== 'floor') ? options.runtimes : []) {
    note(`starting ${name}`);
    runtimes.push(await start(name, node, prepared, options));
  }
  for (const runtime of runtimes) await checkPod(runtime);
  const has = (part: Options['parts'][number]): boolean => options.parts.includes(part);
  if (has('latency')) note(`measuring ${options.pods} pods of each, own and host network`);
  const latency = has('latency') ? await measureLatency(node, runtimes, options, progress) : undefined;
  if (has('floor')) note('measuring the kernel floor');
  const floor = has('floor') ? await measureFloor(node, prepared, options) : [];
  const memory: RuntimeMemory[] = [];
  for (const runtime of has('memory') ? runtimes : []) {
    note(`measuring the memory of ${runtime.name}`);
    memory.push(await measureMemory(node, runtime, options, progress));
  }
  for (const runtime of runtimes) await runtime.stop();
  return {
    date: new Date().toISOString(),
    machine: { kernel: release(), cpus: cpus().length, model: cpus()[0]?.model ?? 'unknown' },
    versions: Object.fromEntries(runtimes.map(({ name, version }) => [name, version])),
    options: { pods: options.pods, warmup: options.warmup, idleSeconds: options.idleSeconds },
    latency,
    floor,
    memory,
  };
}

async function run(options: Options): Promise<void> {
  note('preparing');
  const prepared = prepare(options);
  const node = await BenchNode.start(prepared.cache);
  let interrupted: string | undefined;
  const interrupt = (signal: string): void => {
    interrupted = signal;
    // The node's end makes every call in flight fail, and with it the measurement.
    node.stop().catch(() => undefined);
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const results = await measure(node, prepared, options);
    const file = options.json ?? path.join(prepared.cache, 'result.json');
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
    progress('');
    process.stdout.write(`${renderReport(results)}\n`);
  } catch (error) {
    if (interrupted !== undefined) throw new MissingError(`interrupted by ${interrupted}`);
    throw error;
  } finally {
    await node.stop();
  }
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(`${usage}\n`);
  else await run(options);
} catch (error) {
  if (error instanceof UsageError || error instanceof MissingError) note(error.message);
  else note(`failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exitCode = error instanceof UsageError ? 64 : 1;
}
