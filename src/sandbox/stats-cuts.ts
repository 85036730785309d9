import type { Logger } from '#base/log';
import { deviceLimit } from '#runtime/cgroup/stats';
import { interfaceLimit, type RuntimeSample } from '#runtime/stats';
import type { Container, Pod } from './pod.ts';

/**
 * Says of each pod and container, once in its life, that it has more of something than its numbers tell of: whoever looks
 * for the numbers of the others finds why they are not there, and nobody fills the log with it.
 */
export class StatsCuts {
  readonly #log: Logger;
  readonly #told = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param pods with `containers`, all that were looked at: who is not among them is forgotten */
  tell(pods: readonly Pod[], containers: readonly Container[], { cutNetworks, cgroups }: RuntimeSample): void {
    for (const { id } of pods) {
      if (!cutNetworks.has(id)) continue;
      this.#once({ podId: id }, id, `the pod has more network interfaces than the ${interfaceLimit} that are reported`);
    }
    for (const { id, podId, made } of containers) {
      if (!cgroups.get(made.cgroupPath)?.moreDevices) continue;
      const message = `the container has used more block devices than the ${deviceLimit} that are reported`;
      this.#once({ podId, containerId: id }, id, message);
    }
    const there = new Set([...pods, ...containers].map(({ id }) => id));
    for (const id of this.#told) if (!there.has(id)) this.#told.delete(id);
  }

  #once(fields: Readonly<Record<string, string>>, id: string, message: string): void {
    if (this.#told.has(id)) return;
    this.#told.add(id);
    this.#log.warn(fields, message);
  }
}
