import type { Clock } from '#base/clock';
import { BerthError } from '#base/errors';
import type { Listeners } from '#base/listeners';
import type { Logger } from '#base/log';
import type { Addon } from '#linux/addon';
import type { Cgroups } from './cgroup/cgroups.ts';
import type { Graveyard } from './graveyard.ts';
import type { OutputBudget } from './output-budget.ts';
import type { RuntimeEvent } from './runtime.ts';
import type { Rlimit } from './spec/rlimits.ts';
import type { SeccompFilters } from './seccomp/filters.ts';
import type { PodDirectories } from './shim/pod-directory.ts';
import type { PodShim } from './shim/pod-shim.ts';
import type { ShimLauncher } from './shim/shim-launcher.ts';

/** What the verbs of the Linux runtime work with. */
export interface RuntimeParts {
  readonly addon: Addon;
  readonly cgroups: Cgroups;
  readonly launcher: ShimLauncher;
  readonly directories: PodDirectories;
  readonly filters: SeccompFilters;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: Listeners<RuntimeEvent>;
  readonly heldCapabilities: ReadonlySet<string>;
  readonly architectures: readonly string[];
  /** Of every container's processes. */
  readonly rlimits: readonly Rlimit[];
  /** Of all pods' commands. */
  readonly outputs: OutputBudget;
  readonly buildId: string;
  /** cgroup path below which every shim has its leaf, outside of all pods: "/berth-shims". */
  readonly shimCgroupParent: string;
  /** Where containers go whose pod names no parent; searched for strays. */
  readonly defaultCgroupParent: string;
  /** Containers whose process cannot be killed. */
  readonly graveyard: Graveyard;
  /** Shims berthd is connected to, by pod id. */
  readonly shims: Map<string, PodShim>;
  /** Aborts when berthd lets go. */
  readonly closing: AbortSignal;
}

export function shimCgroup(parts: RuntimeParts, podId: string): string {
  return `${parts.shimCgroupParent}/${podId}`;
}

/** The shim of a pod that runs. Throws SHIM_DIED: the caller asked for something only a living shim can do. */
export function shimOf(parts: RuntimeParts, podId: string): PodShim {
  const shim = parts.shims.get(podId);
  if (!shim?.connected) throw new BerthError('SHIM_DIED', `pod ${podId} has no shim: it is not running`);
  return shim;
}
