import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makePodGroup, removePodGroup } from './node/pod-group.ts';
import type { RuntimeUnderTest } from './node/runtime-under-test.ts';
import { containerConfig, podConfig, type NetworkMode } from './pod-config.ts';

export const calls = [
  'Version',
  'RunPodSandbox',
  'CreateContainer',
  'StartContainer',
  'ExecSync',
  'StopContainer',
  'StopPodSandbox',
  'RemoveContainer',
  'RemovePodSandbox',
] as const;

/** Milliseconds of each call of one pod's life, as its client saw them. */
export type PodTimes = Readonly<Record<(typeof calls)[number], number>>;

export interface StandingPod {
  readonly podId: string;
  readonly containerId: string;
  readonly logDirectory: string;
  readonly group: string;
}

class Stopwatch {
  readonly times: Record<string, number> = {};

  async time<T>(call: (typeof calls)[number], work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work();
    this.times[call] = performance.now() - start;
    return result;
  }
}

async function startPod(
  runtime: RuntimeUnderTest,
  name: string,
  mode: NetworkMode,
  watch: Stopwatch,
): Promise<StandingPod> {
  const { runtime: cri } = runtime.client;
  const pod = podConfig(runtime, name, mode);
  const container = containerConfig(name, mode);
  const logDirectory = pod.log_directory!;
  const group = pod.linux!.cgroup_parent!;
  mkdirSync(logDirectory, { recursive: true });
  makePodGroup(group);
  const { pod_sandbox_id: podId } = await watch.time('RunPodSandbox', () => cri.runPodSandbox({ config: pod }));
  const create = { pod_sandbox_id: podId, config: container, sandbox_config: pod };
  const { container_id: containerId } = await watch.time('CreateContainer', () => cri.createContainer(create));
  await watch.time('StartContainer', () => cri.startContainer({ container_id: containerId }));
  await waitForWord(path.join(logDirectory, container.log_path!), runtime);
  return { podId, containerId, logDirectory, group };
}

/** The container says when it is ready to be stopped; with that its log is known to work. */
async function waitForWord(logFile: string, runtime: RuntimeUnderTest): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    if (existsSync(logFile) && statSync(logFile).size > 0) return;
    if (performance.now() > end) throw new Error(`${runtime.name}: nothing is in the container's log`);
    await sleep(2);
  }
}

async function endPod(runtime: RuntimeUnderTest, pod: StandingPod, watch: Stopwatch): Promise<void> {
  const { runtime: cri } = runtime.client;
  const container = { container_id: pod.containerId };
  const sandbox = { pod_sandbox_id: pod.podId };
  // The container ends on SIGTERM; the grace time is never used up.
  await watch.time('StopContainer', () => cri.stopContainer({ ...container, timeout: 30 }));
  await watch.time('StopPodSandbox', () => cri.stopPodSandbox(sandbox));
  await watch.time('RemoveContainer', () => cri.removeContainer(container));
  await watch.time('RemovePodSandbox', () => cri.removePodSandbox(sandbox));
  await removePodGroup(pod.group);
  rmSync(pod.logDirectory, { recursive: true, force: true });
}

/** A pod from its first call to its last. `onStanding` is called while it runs, between what is measured. */
export async function timePod(
  runtime: RuntimeUnderTest,
  name: string,
  mode: NetworkMode,
  onStanding?: (pod: StandingPod) => Promise<void>,
): Promise<PodTimes> {
  const watch = new Stopwatch();
  const { runtime: cri } = runtime.client;
  await watch.time('Version', () => cri.version({}));
  const pod = await startPod(runtime, name, mode, watch);
  const exec = { container_id: pod.containerId, cmd: ['true'], timeout: 10 };
  const { exit_code: code } = await watch.time('ExecSync', () => cri.execSync(exec));
  if (code !== 0) throw new Error(`ExecSync of "true" in ${runtime.name} ended with ${code}`);
  await onStanding?.(pod);
  await endPod(runtime, pod, watch);
  return watch.times as PodTimes;
}

export function standPod(runtime: RuntimeUnderTest, name: string): Promise<StandingPod> {
  return startPod(runtime, name, 'own', new Stopwatch());
}

export function removePod(runtime: RuntimeUnderTest, pod: StandingPod): Promise<void> {
  return endPod(runtime, pod, new Stopwatch());
}
