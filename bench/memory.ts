import { setTimeout as sleep } from 'node:timers/promises';
import { workloadName } from './images.ts';
import type { BenchNode } from './node/bench-node.ts';
import type { RuntimeUnderTest } from './node/runtime-under-test.ts';
import type { Options, RuntimeName } from './options.ts';
import { removePod, standPod, type StandingPod } from './pod-life.ts';
import { memoryOf, processesIn, type ProcessMemory } from './processes.ts';

export interface HelperMemory {
  readonly pods: number;
  /** Proportional set size of all helpers, in KiB a pod. */
  readonly pssPerPod: number;
  /** The same by the name of the process. */
  readonly byName: Readonly<Record<string, number>>;
  /** Kernel memory charged to the runtime since there was no pod, in KiB a pod. */
  readonly kernelPerPod: number | undefined;
}

export interface RuntimeMemory {
  readonly runtime: RuntimeName;
  readonly helpers: readonly HelperMemory[];
  /** With all pods standing, after everything that was measured before, in KiB. */
  readonly daemon: { readonly privateKib: number; readonly sharedKib: number };
}

/** Everything of the runtime that is neither its daemon nor what the pods were made for. */
function helpersOf(node: BenchNode, runtime: RuntimeUnderTest): readonly ProcessMemory[] {
  return processesIn(node, runtime.group)
    .filter((pid) => pid !== runtime.daemonPid)
    .map((pid) => memoryOf(pid))
    .filter((process) => process !== undefined && process.name !== workloadName)
    .map((process) => process!);
}

function addUp(helpers: readonly ProcessMemory[], pods: number): Pick<HelperMemory, 'pods' | 'pssPerPod' | 'byName'> {
  const byName: Record<string, number> = {};
  for (const { name, pss } of helpers) byName[name] = (byName[name] ?? 0) + pss / pods;
  return { pods, pssPerPod: Object.values(byName).reduce((sum, kib) => sum + kib, 0), byName };
}

export async function measureMemory(
  node: BenchNode,
  runtime: RuntimeUnderTest,
  options: Options,
  progress: (text: string) => void,
): Promise<RuntimeMemory> {
  const standing: StandingPod[] = [];
  const helpers: HelperMemory[] = [];
  await sleep(1000);
  const kernelBefore = node.kernelBytes(runtime.group);
  for (const target of new Set([1, options.memoryPods])) {
    while (standing.length < target) {
      standing.push(await standPod(runtime, `memory-${standing.length}`));
      progress(`${runtime.name}: ${standing.length} pods stand`);
    }
    progress(`${runtime.name}: ${target} pods, idle for ${options.idleSeconds} s`);
    await sleep(options.idleSeconds * 1000);
    const kernelAfter = node.kernelBytes(runtime.group);
    const known = kernelBefore !== undefined && kernelAfter !== undefined;
    const kernelPerPod = known ? (kernelAfter - kernelBefore) / 1024 / target : undefined;
    helpers.push({ ...addUp(helpersOf(node, runtime), target), kernelPerPod });
  }
  const daemon = memoryOf(runtime.daemonPid);
  if (daemon === undefined) throw new Error(`${runtime.name} is gone`);
  for (const pod of standing) await removePod(runtime, pod);
  return { runtime: runtime.name, helpers, daemon };
}
