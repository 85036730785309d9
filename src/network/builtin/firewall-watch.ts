import type { Clock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import { unattended } from '#base/unattended';
import type { NetworkConfig } from '#config/slices';
import type { NetworkAddon } from './bridge-host.ts';
import { detectForwardDrop, forwardDropMessage } from './forward-drop.ts';
import type { RunTool } from './run-tool.ts';

export interface FirewallWatchOptions {
  /** For work nobody waits for. */
  readonly ctx: Ctx;
  readonly addon: NetworkAddon;
  readonly run: RunTool;
  readonly config: NetworkConfig;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

const intervalMs = 5 * 60_000;

/** Looks for firewalls of other programs that drop what pods send. */
export class FirewallWatch {
  readonly #options: FirewallWatchOptions;
  #warning = '';
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(options: FirewallWatchOptions) {
    this.#options = options;
  }

  /** A sentence about those that were found last; "" for none. */
  get warning(): string {
    return this.#warning;
  }

  lookNowAndThen(): void {
    if (this.#options.clock.monotonicMs() - this.#lookedMs > intervalMs) this.look();
  }

  /** In the background. */
  look(): void {
    unattended(this.#options.ctx.log, 'looking for firewalls', this.#look());
  }

  async #look(): Promise<void> {
    const { ctx, run, addon, config, clock } = this.#options;
    this.#lookedMs = clock.monotonicMs();
    try {
      const drops = await detectForwardDrop(ctx, run, addon, config.nftTable);
      const warning = forwardDropMessage(drops, config.bridge);
      if (warning !== '' && warning !== this.#warning) ctx.log.warn({}, warning);
      this.#warning = warning;
    } catch (error) {
      ctx.log.debug({ err: error }, 'could not look for firewalls of other programs');
    }
  }
}
