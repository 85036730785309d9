import type { Clock } from '#base/clock';
import type { LayerStatus, PullStage, PullStatus } from './image-store.ts';
import type { BlobDescriptor } from './registry/registry.ts';

export interface PullProgressOptions {
  readonly reference: string;
  readonly clock: Clock;
  /** Where it begins. */
  readonly stage: PullStage;
  /** Called after every change. */
  readonly onChange: (stageChanged: boolean) => void;
  /** Bytes that came just now. */
  readonly onBytes: (bytes: number) => void;
}

/** Where one pull is. Only its pipeline writes to it. */
export class PullProgress {
  readonly #options: PullProgressOptions;
  readonly #startedAtNs: bigint;
  #stage: PullStage;
  #stageSinceMs: number;
  readonly #stageMs: Partial<Record<PullStage, number>> = {};
  #layers: LayerStatus[] = [];

  constructor(options: PullProgressOptions) {
    this.#options = options;
    this.#stage = options.stage;
    this.#startedAtNs = options.clock.nowNs();
    this.#stageSinceMs = options.clock.monotonicMs();
  }

  get stage(): PullStage {
    return this.#stage;
  }

  get layers(): readonly LayerStatus[] {
    return this.#layers;
  }

  enter(stage: PullStage): void {
    if (stage === this.#stage) return;
    this.#stageMs[this.#stage] = this.#msOfStage();
    this.#stage = stage;
    this.#stageSinceMs = this.#options.clock.monotonicMs();
    this.#options.onChange(true);
  }

  expect(layers: readonly BlobDescriptor[]): void {
    this.#layers = layers.map(({ digest, size }) => ({ digest, size, downloaded: 0, unpacked: 0, state: 'waiting' }));
    this.#options.onChange(true);
  }

  /** @param bytes that came just now */
  downloaded(index: number, bytes: number): void {
    this.#options.onBytes(bytes);
    const { downloaded, size } = this.#layers[index] ?? { downloaded: 0, size: 0 };
    // What has to come a second time is not more than there is.
    this.#change(index, { downloaded: Math.min(downloaded + bytes, size), state: 'downloading' });
  }

  /** @param bytes of the layer so far */
  unpacked(index: number, bytes: number): void {
    this.#change(index, { unpacked: bytes });
  }

  finished(index: number, reused: boolean): void {
    const size = this.#layers[index]?.size ?? 0;
    this.#change(index, reused ? { state: 'present' } : { state: 'done', downloaded: size, unpacked: size });
  }

  /** Milliseconds of each stage so far. */
  times(): Readonly<Partial<Record<PullStage, number>>> {
    return { ...this.#stageMs, [this.#stage]: this.#msOfStage() };
  }

  #msOfStage(): number {
    return Math.round(this.#options.clock.monotonicMs() - this.#stageSinceMs);
  }

  status(waiters: number): PullStatus {
    const startedAt = new Date(Number(this.#startedAtNs / 1_000_000n)).toISOString();
    return { reference: this.#options.reference, startedAt, stage: this.#stage, waiters, layers: [...this.#layers] };
  }

  #change(index: number, change: Partial<LayerStatus>): void {
    const before = this.#layers[index];
    if (before) this.#layers[index] = { ...before, ...change };
    this.#options.onChange(false);
  }
}
