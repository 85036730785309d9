import type { Clock } from '#base/clock';
import type { ImageStore } from '#images/image-store';
import type { Sandboxes } from '#sandbox/sandboxes';
import type { ReadyGate } from '../ready-gate.ts';
import type { StreamUrls } from '../streaming/offers.ts';

/** What the handlers of the runtime service need. */
export interface RuntimeServiceDeps {
  readonly sandboxes: Sandboxes;
  /** By what names images go. */
  readonly images: Pick<ImageStore, 'find'>;
  readonly streams: StreamUrls;
  readonly gate: ReadyGate;
  readonly clock: Clock;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
  /** Of berthd. */
  readonly version: string;
  readonly features: RuntimeFacts;
  readonly runtimeHandlers: readonly string[];
  /** Whether pods can get a network now. */
  readonly networkStatus: () => { readonly ready: boolean; readonly reason: string; readonly message: string };
  /** What berthd runs with, shown to whoever asks verbosely. */
  readonly config: () => object;
}

/** What this machine and this berthd can do. */
export interface RuntimeFacts {
  readonly cgroupVersion: 1 | 2;
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
  readonly userNamespaces: boolean;
  readonly recursiveReadOnlyMounts: boolean;
  readonly controllers: readonly string[];
  readonly seccomp: boolean;
  readonly apparmor: boolean;
  readonly selinux: boolean;
}
