import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { NetworkConfig } from '#config/slices';
import { foreignElements, nftChangeText, nftDeleteText, nftTableText } from './nft-table.ts';
import type { Forward } from './port-forwards.ts';
import { runNamedTool, type RunTool } from './run-tool.ts';
import type { Subnet } from './subnet.ts';

export interface NodeTableOptions {
  /** For changes, which nobody can call back once nft runs. */
  readonly ctx: Ctx;
  readonly run: RunTool;
  readonly config: Pick<NetworkConfig, 'bridge' | 'nftTable' | 'masquerade'>;
}

type Forwards = ReadonlyMap<string, readonly Forward[]>;

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * berthd's nftables table: what it shall hold, and nft runs that make it so. One run at a time; whoever comes while one
 * runs is served by the next, together with all others that wait. What goes wrong with a change is mended by writing
 * the whole table: also after another program flushed it.
 */
export class NodeTable {
  readonly #options: NodeTableOptions;
  readonly #wanted = new Map<string, readonly Forward[]>();
  #subnets: readonly Subnet[] | undefined;
  /** What the kernel has; undefined: not known. */
  #applied: Forwards | undefined;
  #waiting: Waiting[] = [];
  #running = false;

  /** `forwards` of the pods that live, which the first write brings along. */
  constructor(options: NodeTableOptions, forwards: Forwards) {
    this.#options = options;
    for (const [podId, of] of forwards) this.#wanted.set(podId, of);
  }

  /** Writes it whole. */
  write(subnets: readonly Subnet[]): Promise<void> {
    this.#subnets = subnets;
    this.#applied = undefined;
    return this.#next();
  }

  /** After a failure the caller removes it again. */
  add(podId: string, forwards: readonly Forward[]): Promise<void> {
    this.#wanted.set(podId, forwards);
    return this.#next();
  }

  /** Also after an add that failed, or that still runs. */
  remove(podId: string): Promise<void> {
    this.#wanted.delete(podId);
    return this.#next();
  }

  /** For a daemon that leaves the machine. */
  async delete(): Promise<void> {
    this.#subnets = undefined;
    await this.#next();
    try {
      await this.#nft(nftDeleteText(this.#options.config.nftTable));
    } catch (error) {
      // Without nft there is no table that berthd could have made.
      if (!(error instanceof BerthError) || error.code !== 'UNAVAILABLE') throw error;
    }
  }

  /** Elements that no pod explains. */
  async foreign(ctx: Ctx): Promise<readonly string[]> {
    if (this.#applied === undefined) return [];
    const { run, config } = this.#options;
    const known = [...this.#applied.values(), ...this.#wanted.values()].flat();
    const json = await runNamedTool(ctx, run, 'nft', ['-j', 'list', 'table', 'inet', config.nftTable]);
    // Those that came meanwhile.
    known.push(...[...this.#wanted.values()].flat());
    return foreignElements(json, known).map((element) => `host port element ${element} in table ${config.nftTable}`);
  }

  /** Writes it anew, without what others put there. */
  async clean(): Promise<void> {
    if (this.#subnets !== undefined) await this.write(this.#subnets);
  }

  /** Ends when what is wanted now is in the kernel. Before the first write nothing is. */
  #next(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (!this.#running) this.#work().catch(reject);
    });
  }

  async #work(): Promise<void> {
    this.#running = true;
    // All that come in this turn of the loop go together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const served = this.#waiting.splice(0);
      try {
        await this.#apply();
        for (const { resolve } of served) resolve();
      } catch (error) {
        for (const { reject } of served) reject(error);
      }
    }
    this.#running = false;
  }

  async #apply(): Promise<void> {
    if (this.#subnets === undefined) return;
    const { ctx } = this.#options;
    const wanted = new Map(this.#wanted);
    const before = this.#applied;
    this.#applied = undefined;
    if (before !== undefined) {
      const removed = without(before, wanted);
      const added = without(wanted, before);
      try {
        if (removed.length + added.length > 0) {
          await this.#nft(nftChangeText(this.#options.config.nftTable, removed, added));
        }
        this.#applied = wanted;
        return;
      } catch (error) {
        ctx.log.warn({ err: error }, 'could not change the nftables table; it is written anew');
      }
    }
    await this.#write(wanted, this.#subnets);
    this.#applied = wanted;
  }

  async #write(wanted: Forwards, subnets: readonly Subnet[]): Promise<void> {
    const { bridge, nftTable: name, masquerade } = this.#options.config;
    try {
      await this.#nft(nftTableText({ name, bridge, subnets, masquerade, forwards: [...wanted.values()].flat() }));
    } catch (error) {
      // Who neither masquerades nor has host ports needs no nft.
      const needless = !masquerade && wanted.size === 0 && error instanceof BerthError && error.code === 'UNAVAILABLE';
      if (!needless) throw error;
    }
  }

  async #nft(text: string): Promise<void> {
    await runNamedTool(this.#options.ctx, this.#options.run, 'nft', ['-f', '-'], text);
  }
}

/** Forwards of the pods that the other does not know. */
function without(one: Forwards, other: Forwards): readonly Forward[] {
  return [...one].flatMap(([podId, forwards]) => (other.has(podId) ? [] : forwards));
}
