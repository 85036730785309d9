import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BenchNode } from '../node/bench-node.ts';
import { startBerth } from '../node/berth.ts';
import { startContainerd } from '../node/containerd.ts';
import type { RuntimeUnderTest } from '../node/runtime-under-test.ts';
import { parseOptions, runtimeNames, type RuntimeName } from '../options.ts';
import { MissingError, prepare } from '../prepare.ts';
import { mountDisk, rootOf, syncDisk } from './disk.ts';
import { pullImages, storeImage, type Packing, type StoredImage } from './images.ts';
import { registryHost, startRegistry } from './node-registry.ts';
import { renderPulls, type PullSample, type PullSeries } from './report.ts';

const usage = `node bench/pull/main.ts [options]: pulls the same images with Berth and containerd, from one registry

  --rounds N        pulls of each image by each runtime (5)
  --only RUNTIME    berth or containerd
  --image NAME      big or files (both)
  --packing NAME    gzip or zstd (both)
  --machine-disk    on the machine's own disk, with all that others do there
  --cpu-profile DIR with a CPU profile of berthd, written to DIR
  --json FILE       the samples as JSON (.cache/bench/pulls.json)`;

const packings: readonly Packing[] = ['gzip', 'zstd'];
const pullTimeoutMs = 600_000;

/** One pull: until the answer, and until all of it is on the disk whoever wrote it there. */
async function pullOnce(node: BenchNode, runtime: RuntimeUnderTest, image: StoredImage): Promise<PullSample> {
  const reference = { image: `${registryHost}/${image.reference}` };
  // The same for everybody: the registry's files in memory, nothing of the last round still to be written.
  for (const file of image.files) readFileSync(file);
  await syncDisk(node, runtime.name);
  const cpuBefore = node.cpuSeconds(runtime.group);
  const begun = performance.now();
  await runtime.client.images.pullImage({ image: reference }, { timeoutMs: pullTimeoutMs });
  const answered = performance.now();
  await syncDisk(node, runtime.name);
  const durable = performance.now();
  const cpuSeconds = node.cpuSeconds(runtime.group) - cpuBefore;
  await runtime.client.images.removeImage({ image: reference }, { timeoutMs: pullTimeoutMs });
  await untilQuiet(node, runtime);
  return { ms: answered - begun, durableMs: durable - begun, cpuMs: cpuSeconds * 1000 };
}

/** A peer removes in the background: until it has used no processor for a while. */
async function untilQuiet(node: BenchNode, runtime: RuntimeUnderTest): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const before = node.cpuSeconds(runtime.group);
    await sleep(300);
    if (node.cpuSeconds(runtime.group) - before < 0.01) return;
  }
}

interface Chosen {
  readonly rounds: number;
  readonly runtimes: readonly RuntimeName[];
  readonly images: readonly string[];
  readonly packings: readonly Packing[];
  readonly machineDisk: boolean;
  readonly cpuProfile: string | undefined;
}

async function measure(node: BenchNode, chosen: Chosen, storage: string, runtimes: readonly RuntimeUnderTest[]) {
  const series: PullSeries[] = [];
  for (const image of pullImages.filter(({ name }) => chosen.images.includes(name))) {
    for (const packing of chosen.packings) {
      const stored = storeImage(storage, image, packing);
      const samples: Record<string, PullSample[]> = Object.fromEntries(runtimes.map(({ name }) => [name, []]));
      // The first pull of each is not counted: it fills what a daemon keeps.
      for (let round = -1; round < chosen.rounds; round++) {
        const order = round % 2 === 0 ? runtimes : [...runtimes].reverse();
        for (const runtime of order) {
          process.stderr.write(`bench: ${image.title}, ${packing}, ${runtime.name}, round ${round + 1}\n`);
          const sample = await pullOnce(node, runtime, stored);
          if (round >= 0) samples[runtime.name]!.push(sample);
        }
      }
      series.push({ title: `${image.title}, ${packing}`, packedBytes: stored.packedBytes, samples });
    }
  }
  return series;
}

/** What berthd's log tells of its pulls: where the time went. */
function stagesOf(node: BenchNode): readonly Readonly<Record<string, unknown>>[] {
  const file = node.logFile('berth');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"image pulled"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function run(chosen: Chosen, json: string | undefined): Promise<void> {
  const usual = parseOptions(chosen.runtimes.length === 1 ? ['--only', chosen.runtimes[0]!] : []);
  if (usual === undefined) throw new Error('no options');
  const prepared = prepare(usual);
  const storage = path.join(prepared.cache, 'registry');
  mkdirSync(storage, { recursive: true });
  const node = await BenchNode.start(prepared.cache);
  const end = (): void => void node.stop().catch(() => undefined);
  process.once('SIGINT', end).once('SIGTERM', end);
  try {
    await startRegistry(node, storage);
    const runtimes: RuntimeUnderTest[] = [];
    for (const name of chosen.runtimes) {
      if (chosen.machineDisk) mkdirSync(rootOf(node, name), { recursive: true });
      else await mountDisk(node, name);
      const start = name === 'berth' ? startBerth(node, prepared, chosen.cpuProfile) : startContainerd(node, prepared);
      runtimes.push(await start);
    }
    const series = await measure(node, chosen, storage, runtimes);
    const versions = Object.fromEntries(runtimes.map(({ name, version }) => [name, version]));
    const stages = stagesOf(node);
    for (const runtime of runtimes) await runtime.stop();
    const file = json ?? path.join(prepared.cache, 'pulls.json');
    writeFileSync(file, `${JSON.stringify({ versions, series, stages }, null, 1)}\n`);
    process.stdout.write(`${renderPulls(versions, series, stages)}\n`);
  } finally {
    await node.stop();
  }
}

const { values } = parseArgs({
  options: {
    ...{ rounds: { type: 'string', default: '5' }, only: { type: 'string' }, image: { type: 'string' } },
    ...{ packing: { type: 'string' }, json: { type: 'string' }, help: { type: 'boolean' } },
    'cpu-profile': { type: 'string' },
    'machine-disk': { type: 'boolean' },
  },
});
if (values.help === true) {
  process.stdout.write(`${usage}\n`);
} else {
  try {
    const chosen: Chosen = {
      rounds: Math.max(1, Number(values.rounds) || 5),
      runtimes: runtimeNames.filter((name) => values.only === undefined || name === values.only),
      images: pullImages.map(({ name }) => name).filter((name) => values.image === undefined || name === values.image),
      packings: packings.filter((name) => values.packing === undefined || name === values.packing),
      machineDisk: values['machine-disk'] === true,
      cpuProfile: values['cpu-profile'],
    };
    await run(chosen, values.json);
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    process.stderr.write(`bench: ${error.message}\n`);
    process.exitCode = 1;
  }
}
