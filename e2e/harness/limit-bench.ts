import { startBerthd, type Berthd, type BerthdOptions } from './berthd.ts';
import { shell, TestPod, type TestContainer } from './pods.ts';

/** What became of a call: "taken", or "refused" with a sentence about the limit, or the status of another refusal. */
export type Outcome = string;

/** What says something about Berth, not about the request; what the kernel refuses is INTERNAL. */
export const ours = /UNAVAILABLE|UNKNOWN|ABORTED|DEADLINE_EXCEEDED|is a bug/;
const limits =
  /at most \d+ (are possible|objects)|\d+ are allowed|executes nothing with more than|is larger than|more than|which is the limit|wrote more than/;

/** A berthd with a pod that loses nothing, whatever is asked for beside it. */
export class LimitBench {
  readonly berthd: Berthd;
  readonly neighbour: TestContainer;
  readonly #pid: number;
  readonly #table: string[] = [];

  private constructor(berthd: Berthd, neighbour: TestContainer) {
    this.berthd = berthd;
    this.neighbour = neighbour;
    this.#pid = berthd.pid;
  }

  /** @param ready what the node needs before the first pod */
  static async start(options?: BerthdOptions, ready?: (berthd: Berthd) => Promise<void>): Promise<LimitBench> {
    const berthd = await startBerthd(options);
    await berthd.loadBusybox();
    await ready?.(berthd);
    return new LimitBench(berthd, await (await TestPod.run(berthd)).start(shell('sleep 10000')));
  }

  /** The neighbour is asked again and again while the call is under way, and once after it. */
  async outcomeOf(call: Promise<unknown>): Promise<Outcome> {
    let over = false;
    const outcome = settled(call).finally(() => (over = true));
    let slowest = 0;
    do {
      const began = performance.now();
      await this.expectNothingLost();
      slowest = Math.max(slowest, performance.now() - began);
    } while (!over);
    if (slowest > 2000) process.stdout.write(`the neighbour waited ${Math.round(slowest)} ms\n`);
    return await outcome;
  }

  async expectNothingLost(): Promise<void> {
    const said = await this.neighbour.sh('echo here');
    const { state } = await this.neighbour.status();
    if (said !== 'here\n' || state !== 'CONTAINER_RUNNING') throw new Error(`the neighbour is ${state}: ${said}`);
    if (this.berthd.dead || this.berthd.pid !== this.#pid) throw new Error('berthd has ended');
  }

  /** One below, at and above the limit, one after the other. */
  async row(limit: string, value: number, call: (many: number) => Promise<unknown>): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const many of [value - 1, value, value + 1]) outcomes.push(await this.outcomeOf(call(many)));
    this.note(limit, value, outcomes);
    return outcomes;
  }

  note(limit: string, value: number, outcomes: readonly unknown[]): void {
    this.#table.push([limit, value, ...outcomes].join(' | '));
  }

  async teardown(): Promise<void> {
    process.stdout.write(`limit | value | below | at | above\n${this.#table.join('\n')}\n`);
    await this.berthd.teardown();
  }
}

async function settled(call: Promise<unknown>): Promise<Outcome> {
  try {
    await call;
    return 'taken';
  } catch (error) {
    const { status, details } = error as { status?: string; details?: string };
    const limited =
      limits.test(details ?? '') &&
      /INVALID_ARGUMENT|RESOURCE_EXHAUSTED|FAILED_PRECONDITION|INTERNAL: .* wrote/.test(`${status}: ${details}`);
    return limited ? 'refused' : `other: ${status} ${(details ?? String(error)).slice(0, 200)}`;
  }
}
