import { statfs } from 'node:fs/promises';
import type { Clock } from '#base/clock';
import { createCtx, type Ctx } from '#base/ctx';
import { raceSignal, Deadline } from '#base/deadline';
import type { Logger } from '#base/log';
import type { HistogramMetric, Metrics } from '#base/metrics';
import { unattended } from '#base/unattended';
import type { Runtime } from '#runtime/runtime';
import type { RuntimeSample } from '#runtime/stats';
import type { Container, Pod } from './pod.ts';
import type { Pods } from './pods.ts';
import type { ContainerStats, DetailedStats, FilesystemSize, LayerUsage, PodStats } from './stats.ts';
import { StatsCuts } from './stats-cuts.ts';
import type { LayerOwner, LayerUsages } from './stats-layers.ts';
import { hasOwnNetwork, ownGroups, sumOf } from './stats-pods.ts';
import { nanoCores } from './stats-rates.ts';

export interface StatsSamplerOptions {
  readonly pods: Pick<Pods, 'listPods' | 'listContainers'>;
  readonly runtime: Pick<Runtime, 'sample' | 'deviceName'>;
  readonly layers: LayerUsages;
  /** Where the writable layers are, as ImageFsInfo names the place. */
  readonly root: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Between samples that nobody asked for, so that rates are there when somebody does. */
  readonly intervalMs: number;
}

/** Callers get numbers that are at most this old, if they can be had in time. */
const freshMs = 500;
const freshDetailMs = 5_000;
/** How long a caller waits for new numbers; for a container without any he waits longer. */
const patienceMs = 250;
const newcomerPatienceMs = 1_000;
/** The second sample after the start comes soon: with it there are rates. */
const secondSampleMs = 1_000;

/**
 * What pods and containers use, from samples that many callers share. Looking (`container`, `pod`) does no IO; `fresh`
 * waits for a new sample no longer than a moment, and then the last one has to do.
 */
export class StatsSampler implements Disposable {
  readonly #options: StatsSamplerOptions;
  readonly #seconds: HistogramMetric<never>;
  #containers: ReadonlyMap<string, ContainerStats> = new Map();
  #detailed: ReadonlyMap<string, DetailedStats> = new Map();
  #pods: ReadonlyMap<string, PodStats> = new Map();
  /** Processor time of containers that have gone, by pod. */
  readonly #endedCpuNs = new Map<string, bigint>();
  readonly #cuts: StatsCuts;
  #filesystem: FilesystemSize | undefined;
  #sampledMs = -Infinity;
  #detailedMs = -Infinity;
  #running: { readonly detail: boolean; readonly done: Promise<void> } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StatsSamplerOptions) {
    this.#options = options;
    this.#cuts = new StatsCuts(options.log);
    this.#seconds = options.metrics.histogram('stats_sample_seconds', 'Samples of what all pods and containers use');
  }

  /** Begins to sample on its own. */
  start(): void {
    this.#tick(secondSampleMs);
  }

  container(id: string): ContainerStats | undefined {
    return this.#containers.get(id);
  }

  /** As of the last sample that was asked for with detail. */
  detailed(id: string): DetailedStats | undefined {
    return this.#detailed.get(id);
  }

  pod(id: string): PodStats | undefined {
    return this.#pods.get(id);
  }

  /** The name of the place where all writable layers are. */
  get layersMountpoint(): string {
    return this.#options.root;
  }

  /** As of the last sample with detail. */
  get filesystem(): FilesystemSize | undefined {
    return this.#filesystem;
  }

  readonly deviceName = (major: number, minor: number): string => this.#options.runtime.deviceName(major, minor);

  layer(id: string): LayerUsage | undefined {
    return this.#options.layers.get(id);
  }

  /** What lies in all writable layers together. */
  writableLayers(): { readonly bytes: bigint; readonly inodes: bigint } {
    return this.#options.layers.total();
  }

  /** Sees to it that the numbers are young, within a bound. `detail`: also those that only metrics show. Never throws. */
  async fresh(ctx: Ctx, detail = false): Promise<void> {
    const { clock, layers, log } = this.#options;
    const newcomer = this.#hasNewcomer(detail);
    const age = clock.monotonicMs() - (detail ? this.#detailedMs : this.#sampledMs);
    const old = age >= (detail ? freshDetailMs : freshMs);
    unattended(log, 'measuring layers', layers.refresh(this.#layerOwners()));
    if (!newcomer && !old && !layers.missing(this.#layerOwners())) return;
    using patience = new Deadline(newcomer ? newcomerPatienceMs : patienceMs, 'a sample', ctx.signal);
    const work = Promise.all([
      old || newcomer ? this.#sampleWithNewcomers(detail) : undefined,
      this.#measureNewcomers(),
    ]);
    // Late: what is there has to do.
    await raceSignal(work, patience.signal).catch(() => undefined);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tick(nextMs: number): void {
    this.#timer = setTimeout(() => this.#tick(this.#options.intervalMs), nextMs);
    this.#timer.unref();
    const { layers, log } = this.#options;
    unattended(log, 'a sample', this.#refresh(false));
    unattended(log, 'measuring layers', layers.refresh(this.#layerOwners()));
  }

  /** A sample under way may have begun before a container did: it gets another one. */
  async #sampleWithNewcomers(detail: boolean): Promise<void> {
    await this.#refresh(detail);
    if (this.#hasNewcomer(detail)) await this.#refresh(detail);
  }

  async #measureNewcomers(): Promise<void> {
    const { layers } = this.#options;
    for (let round = 0; round < 2 && layers.missing(this.#layerOwners()); round++) {
      await layers.refresh(this.#layerOwners());
    }
  }

  /** A container that nobody has looked at yet. */
  #hasNewcomer(detail: boolean): boolean {
    const known = detail ? this.#detailed : this.#containers;
    return this.#runningContainers().some(({ id }) => !known.has(id));
  }

  #runningContainers(): Container[] {
    return this.#options.pods.listContainers().filter(({ status }) => status.state === 'running');
  }

  #layerOwners(): LayerOwner[] {
    return this.#options.pods.listContainers().map(({ id, status }) => ({ id, ended: status.state === 'exited' }));
  }

  /** One sample at a time: who wants no more than the one under way gives waits for it. Never throws. */
  #refresh(detail: boolean): Promise<void> {
    const running = this.#running;
    if (running) return running.detail || !detail ? running.done : running.done.then(() => this.#refresh(true));
    const done = this.#sample(detail)
      .catch((error: unknown) => {
        this.#options.log.warn({ err: error }, 'could not sample what pods use; the last numbers stay');
      })
      .finally(() => {
        this.#running = undefined;
      });
    this.#running = { detail, done };
    return done;
  }

  async #sample(detail: boolean): Promise<void> {
    const { runtime, clock, log } = this.#options;
    const containers = this.#runningContainers();
    const pods = this.#options.pods.listPods().filter(({ status }) => status.state === 'ready');
    const groups = ownGroups(pods);
    const begin = clock.monotonicMs();
    if (pods.length > 0) {
      const sample = await runtime.sample(createCtx({ log, requestId: 'stats' }), {
        cgroups: [...containers.map(({ made }) => made.cgroupPath), ...groups.values()],
        networks: pods.filter(hasOwnNetwork).map(({ id }) => id),
        processes: detail
          ? containers.map(({ id, made, status }) => ({ id, cgroupPath: made.cgroupPath, pid: status.pid }))
          : [],
        detail,
      });
      this.#seconds.observe({}, (clock.monotonicMs() - begin) / 1000);
      const atNs = clock.nowNs();
      this.#keepContainers(containers, sample, atNs, detail);
      this.#keepPods(pods, groups, sample, atNs);
      this.#cuts.tell(pods, containers, sample);
    } else {
      this.#containers = new Map();
      this.#detailed = new Map();
      this.#pods = new Map();
      this.#endedCpuNs.clear();
    }
    if (detail) this.#filesystem = await this.#measureFilesystem();
    this.#sampledMs = clock.monotonicMs();
    if (detail) this.#detailedMs = this.#sampledMs;
  }

  async #measureFilesystem(): Promise<FilesystemSize> {
    const { blocks, bsize, files, ffree } = await statfs(this.#options.root, { bigint: true });
    return { bytes: blocks * bsize, inodes: files, inodesFree: ffree };
  }

  #keepContainers(containers: readonly Container[], sample: RuntimeSample, atNs: bigint, detail: boolean): void {
    const next = new Map<string, DetailedStats>();
    for (const { id, podId, made, status } of containers) {
      const group = sample.cgroups.get(made.cgroupPath);
      const now = { podId, atNs, ...(group ? { group } : {}) };
      const rate = nanoCores(this.#containers.get(id), now, status.startedAtNs);
      const processes = sample.processes.get(id);
      next.set(id, {
        ...now,
        ...(rate === undefined ? {} : { nanoCores: rate }),
        ...(processes ? { processes } : {}),
      });
    }
    for (const [id, { podId, group }] of this.#containers) {
      if (next.has(id) || !group?.cpu) continue;
      this.#endedCpuNs.set(podId, (this.#endedCpuNs.get(podId) ?? 0n) + group.cpu.usageNs);
    }
    this.#containers = next;
    if (detail) this.#detailed = next;
  }

  #keepPods(pods: readonly Pod[], groups: ReadonlyMap<string, string>, sample: RuntimeSample, atNs: bigint): void {
    const next = new Map<string, PodStats>();
    const byPod = Map.groupBy(this.#containers.values(), ({ podId }) => podId);
    for (const { id, status } of pods) {
      const inside = (byPod.get(id) ?? []).flatMap(({ group }) => (group ? [group] : []));
      const own = sample.cgroups.get(groups.get(id) ?? '');
      const now = { atNs, group: own ?? sumOf(inside, this.#endedCpuNs.get(id) ?? 0n) };
      const rate = nanoCores(this.#pods.get(id), now, status.createdAtNs);
      const network = sample.networks.get(id);
      next.set(id, { ...now, ...(rate === undefined ? {} : { nanoCores: rate }), ...(network ? { network } : {}) });
    }
    for (const id of this.#endedCpuNs.keys()) if (!next.has(id)) this.#endedCpuNs.delete(id);
    this.#pods = next;
  }
}
