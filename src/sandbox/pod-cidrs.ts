import { BerthError } from '#base/errors';
import type { Ctx } from '#base/ctx';
import type { PodNetwork } from '#network/pod-network';
import type { Collection, CollectionSpec } from '#store/collection';

/** What a kubelet told about its node; one record. */
export interface NodeRecord {
  readonly podCidrs: readonly string[];
}

export const nodeRecords: CollectionSpec<NodeRecord> = {
  kind: 'node',
  version: 1,
  sync: false,
  parse: (value) => {
    const cidrs: unknown = (value as { readonly podCidrs?: unknown }).podCidrs;
    if (Array.isArray(cidrs) && cidrs.every((cidr) => typeof cidr === 'string')) return { podCidrs: cidrs };
    throw new BerthError('STATE_CORRUPT', 'podCidrs is not a list of texts');
  },
};

const key = 'kubelet';

/** The ranges of pod addresses that the kubelet gave its node; remembered, because it says them only when they change. */
export class PodCidrs {
  readonly #records: Collection<NodeRecord>;
  readonly #network: PodNetwork;

  constructor(records: Collection<NodeRecord>, network: PodNetwork) {
    this.#records = records;
    this.#network = network;
  }

  /** @param text one range, or one of each family separated by a comma. Throws INVALID_ARGUMENT. */
  async use(ctx: Ctx, text: string): Promise<void> {
    const podCidrs = text
      .split(',')
      .map((cidr) => cidr.trim())
      .filter((cidr) => cidr !== '');
    if (podCidrs.length === 0) return;
    await this.#network.useSubnets(ctx, podCidrs);
    await this.#records.put(ctx, key, { podCidrs }, 'change');
  }

  /** After a start, before the first pod. */
  async restore(ctx: Ctx): Promise<void> {
    const known = this.#records.get(key)?.podCidrs;
    if (known) await this.#network.useSubnets(ctx, known);
  }
}
