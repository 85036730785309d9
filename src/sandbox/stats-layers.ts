import path from 'node:path';
import type { Clock } from '#base/clock';
import { messageOf } from '#base/errors';
import type { Logger } from '#base/log';
import type { HistogramMetric, Metrics } from '#base/metrics';
import type { Files } from '#linux/files';
import type { LayerUsage } from './stats.ts';

export interface LayerUsagesOptions {
  readonly files: Pick<Files, 'projectUsage' | 'treeUsage'>;
  /** `<root>/containers` */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** A container whose layer is wanted; an ended one changes no more and is measured once. */
export interface LayerOwner {
  readonly id: string;
  readonly ended: boolean;
}

interface Record {
  readonly usage: LayerUsage | undefined;
  readonly atMs: number;
  readonly costMs: number;
  readonly final: boolean;
}

/** A layer is not measured more often than this, and at most a hundredth of the time is spent on it. */
const leastAgeMs = 1_000;
const costShare = 100;
/** A layer with more files is as large as its first two million say. */
const inodeLimit = 2_000_000;
const chunk = 512;

/**
 * Sizes of the containers' writable layers. Where the file system keeps books of projects they are asked; elsewhere the
 * trees are walked, one after another, by a thread that gives way to everybody. Reading never waits for either.
 */
export class LayerUsages {
  readonly #options: LayerUsagesOptions;
  readonly #walks: HistogramMetric<never>;
  readonly #records = new Map<string, Record>();
  #pass: Promise<void> | undefined;

  constructor(options: LayerUsagesOptions) {
    this.#options = options;
    const help = 'Walks through a writable layer whose file system keeps no books of it';
    this.#walks = options.metrics.histogram('layer_walk_seconds', help);
  }

  get(id: string): LayerUsage | undefined {
    return this.#records.get(id)?.usage;
  }

  /** All layers together. */
  total(): { readonly bytes: bigint; readonly inodes: bigint } {
    let bytes = 0n;
    let inodes = 0n;
    for (const { usage } of this.#records.values()) {
      bytes += usage?.bytes ?? 0n;
      inodes += usage?.inodes ?? 0n;
    }
    return { bytes, inodes };
  }

  /** Whether one of them was never measured. */
  missing(owners: readonly LayerOwner[]): boolean {
    return owners.some(({ id }) => !this.#records.has(id));
  }

  /** Measures what is due and forgets who is not among the owners; joins the pass under way. Never throws. */
  refresh(owners: readonly LayerOwner[]): Promise<void> {
    this.#pass ??= this.#measure(owners).finally(() => {
      this.#pass = undefined;
    });
    return this.#pass;
  }

  async #measure(owners: readonly LayerOwner[]): Promise<void> {
    const known = new Set(owners.map(({ id }) => id));
    for (const id of this.#records.keys()) if (!known.has(id)) this.#records.delete(id);
    const now = this.#options.clock.monotonicMs();
    const due = owners.filter(({ id }) => isDue(this.#records.get(id), now));
    // New ones first: somebody may be waiting for them.
    due.sort((a, b) => Number(this.#records.has(a.id)) - Number(this.#records.has(b.id)));
    for (let at = 0; at < due.length; at += chunk) await this.#measureSome(due.slice(at, at + chunk));
  }

  async #measureSome(owners: readonly LayerOwner[]): Promise<void> {
    const { files, clock, directory, log } = this.#options;
    const places = owners.map(({ id }) => path.join(directory, id));
    const booked = await files.projectUsage(places).catch((error: unknown) => {
      log.debug({ err: messageOf(error) }, 'cannot ask for project accounts; the trees are walked');
      return [];
    });
    for (const [at, owner] of owners.entries()) {
      const begin = clock.monotonicMs();
      const found = booked[at] ?? (await this.#walk(owner.id, places[at] ?? ''));
      const atMs = clock.monotonicMs();
      const usage = found ? { atNs: clock.nowNs(), bytes: found.bytes, inodes: found.inodes } : undefined;
      this.#records.set(owner.id, { usage, atMs, costMs: atMs - begin, final: owner.ended });
    }
  }

  async #walk(id: string, place: string): ReturnType<LayerUsagesOptions['files']['treeUsage']> {
    const begin = performance.now();
    try {
      return await this.#options.files.treeUsage(place, inodeLimit);
    } catch (error) {
      // It is being removed, or its disk is broken: both are told by others.
      this.#options.log.debug({ containerId: id, err: messageOf(error) }, 'cannot measure a writable layer');
      return undefined;
    } finally {
      this.#walks.observe({}, (performance.now() - begin) / 1000);
    }
  }
}

function isDue(record: Record | undefined, now: number): boolean {
  if (!record) return true;
  return !record.final && now - record.atMs >= Math.max(leastAgeMs, costShare * record.costMs);
}
