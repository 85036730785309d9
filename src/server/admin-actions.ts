import type { Ctx } from '#base/ctx';
import type { ReloadReport } from '#config/live-config';
import type { Image, LoadSource, PullRequest, PullStatus } from '#images/image-store';

/** What the admin server can be asked to do; main.ts joins it with the modules that do it. */
export interface AdminActions {
  loadImage(ctx: Ctx, source: LoadSource): Promise<readonly Image[]>;
  pullImage(ctx: Ctx, request: PullRequest): Promise<Image>;
  /** Those under way, oldest first. From memory. */
  pulls(): readonly PullStatus[];
  /** Whatever lies on the machine that no record owns. */
  strays(ctx: Ctx): Promise<readonly string[]>;
  /** The owner has seen what recovery set aside and ended. Gives what is told no more. */
  forget(ctx: Ctx): Promise<readonly string[]>;
  /** The configuration berthd runs with, paths included, as plain values. */
  config(): object;
  /** How the last reload of the configuration went; undefined: none was tried. */
  lastReload(): ReloadReport | undefined;
  /** Reads the configuration again and takes over what can be. */
  reloadConfig(): ReloadReport;
  /** Every pod with its containers, why they ended and the time each step took. Waits for nobody but a silent shim, for seconds. */
  pods(ctx: Ctx): Promise<readonly PodTimeline[]>;
  /** Stops and removes every pod, for a berthd that is to leave nothing behind. */
  removeAll(ctx: Ctx): Promise<void>;
  /** Begins the shutdown of berthd; comes back at once. */
  shutdown(): void;
}

export interface PodTimeline {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly state: string;
  /** docs/reasons.md; "" for none. */
  readonly reason: string;
  /** Its shim does not answer: what is told of it may be old. */
  readonly silent: boolean;
  readonly steps: readonly TimelineStep[];
  readonly containers: readonly {
    readonly id: string;
    readonly name: string;
    readonly state: string;
    readonly reason: string;
    /** Of one that has ended. */
    readonly exitCode: number;
    readonly steps: readonly TimelineStep[];
  }[];
}

export interface TimelineStep {
  readonly step: string;
  /** Milliseconds since the first step began. */
  readonly at: number;
  readonly ms: number;
}
