import { shortId } from '#base/ids';
import type { Ctx } from '#base/ctx';
import type { Addon, LinkInfo } from '#linux/addon';

type Links = Pick<Addon, 'listLinks' | 'deleteLink'>;

/** The host end of a pod's veth pair; with the 13 digits it has just the 15 bytes the kernel allows. */
export function hostLinkName(podId: string): string {
  return `bv${shortId(podId)}`;
}

/** Host ends of ours; another berthd's are on another bridge. */
export async function podLinks(addon: Links, bridge: string): Promise<readonly string[]> {
  const links = await addon.listLinks();
  const index = links.find((link) => link.name === bridge && link.kind === 'bridge')?.index;
  return links.filter((link) => isPodLink(link) && link.master === index).map((link) => link.name);
}

function isPodLink({ name, kind }: LinkInfo): boolean {
  return kind === 'veth' && /^bv[0-9a-f]{13}$/.test(name);
}

export interface LinkSweeperOptions {
  /** For work nobody waits for. */
  readonly ctx: Ctx;
  readonly addon: Links;
  readonly bridge: string;
  readonly delayMs: number;
}

/**
 * Deletes host ends that outlive their pods. The kernel destroys a pair with the pod's namespace, free of charge;
 * deleting one by hand waits tens of milliseconds, so it is done late, in the background, and only to what still exists.
 */
export class LinkSweeper implements AsyncDisposable {
  readonly #options: LinkSweeperOptions;
  readonly #expected = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  #closed = false;

  constructor(options: LinkSweeperOptions) {
    this.#options = options;
  }

  /** Whether that link is about to go. */
  expects(name: string): boolean {
    return this.#expected.has(name);
  }

  add(name: string): void {
    if (this.#closed) return;
    this.#expected.add(name);
    this.#schedule();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined || this.#sweeping !== undefined || this.#expected.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#sweeping = this.#sweep([...this.#expected]).finally(() => {
        this.#sweeping = undefined;
        this.#schedule();
      });
    }, this.#options.delayMs);
    this.#timer.unref();
  }

  async #sweep(names: readonly string[]): Promise<void> {
    const { ctx, addon, bridge } = this.#options;
    try {
      const existing = new Set(await podLinks(addon, bridge));
      for (const name of names) {
        if (this.#closed) return;
        if (existing.has(name)) await addon.deleteLink(name);
        this.#expected.delete(name);
      }
    } catch (error) {
      // `berth check` shows what is left, and the next start removes it.
      for (const name of names) this.#expected.delete(name);
      ctx.log.warn({ err: error }, 'could not delete links of pods that are gone');
    }
  }
}
