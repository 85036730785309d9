import { BerthError } from '#base/errors';
import { overlap, portText, type HostPort } from './port-forwards.ts';

/** Who has which port of the node. In memory: what the address book says is taken again at start. */
export class PortClaims {
  /** By protocol and port, so that a claim is compared with its rivals only. */
  readonly #claims = new Map<string, { readonly podId: string; readonly port: HostPort }[]>();
  readonly #pods = new Map<string, readonly HostPort[]>();

  get empty(): boolean {
    return this.#pods.size === 0;
  }

  /**
   * All or none; at once, so that of two pods that come together one gets them.
   *
   * @throws FAILED_PRECONDITION naming the pod that has one of them
   */
  take(podId: string, ports: readonly HostPort[]): void {
    for (const port of ports) {
      const holder = this.#claims.get(keyOf(port))?.find((claim) => claim.podId !== podId && overlap(claim.port, port));
      if (holder === undefined) continue;
      throw new BerthError(
        'FAILED_PRECONDITION',
        `host port ${portText(port)} is in use: pod ${holder.podId} has ${portText(holder.port)}`,
        { details: { podId: holder.podId } },
      );
    }
    this.#put(podId, ports);
  }

  /** What a pod has had before: whatever others say. */
  restore(podId: string, ports: readonly HostPort[]): void {
    this.#put(podId, ports);
  }

  /** Nothing happens when the pod has none. */
  release(podId: string): void {
    for (const port of this.#pods.get(podId) ?? []) {
      const left = (this.#claims.get(keyOf(port)) ?? []).filter((claim) => claim.podId !== podId);
      if (left.length === 0) this.#claims.delete(keyOf(port));
      else this.#claims.set(keyOf(port), left);
    }
    this.#pods.delete(podId);
  }

  #put(podId: string, ports: readonly HostPort[]): void {
    if (ports.length === 0) return;
    this.release(podId);
    this.#pods.set(podId, ports);
    for (const port of ports) {
      const claims = this.#claims.get(keyOf(port));
      if (claims === undefined) this.#claims.set(keyOf(port), [{ podId, port }]);
      else claims.push({ podId, port });
    }
  }
}

function keyOf({ protocol, port }: HostPort): string {
  return `${protocol} ${port}`;
}
