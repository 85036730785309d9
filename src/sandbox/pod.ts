import type { ContainerIdentity, PodIdentity } from './identity.ts';
import type { ContainerMade, ContainerStatus, PodStatus } from './records.ts';
import { Timeline } from './timeline.ts';

/** A pod as others see it. */
export interface PodView {
  readonly id: string;
  readonly identity: PodIdentity;
  readonly status: PodStatus;
}

/** A container as others see it. */
export interface ContainerView {
  readonly id: string;
  readonly podId: string;
  readonly identity: ContainerIdentity;
  readonly made: ContainerMade;
  readonly status: ContainerStatus;
}

/** A pod in memory. Its status is that of the last record written; only `Pods` changes it. */
export class Pod implements PodView {
  readonly id: string;
  readonly identity: PodIdentity;
  /** Base64 of the request's bytes. */
  readonly encoded: string;
  status: PodStatus;
  readonly containers = new Map<string, Container>();
  readonly timeline = new Timeline();

  // In flight, never stored.
  stopping = false;
  /** Its shim is gone: it does not become ready any more. */
  lost = false;
  /** Its shim has not answered since berthd started; ends when it has, or is dead, and the table is right. Never rejects. */
  silent: Promise<void> | undefined;
  /** Of the shim, while `silent`; 0: not found. */
  silentPid = 0;
  /** While `silent`: its shim can be reached by nobody any more, and is killed when the pod is stopped. */
  unreachable = false;
  /** Its record was lost, and is made again from its document. */
  rebuilt = false;
  /** Containers being made: a stop waits until they are undone. */
  readonly creates = new Set<Promise<unknown>>();

  constructor(id: string, identity: PodIdentity, encoded: string, status: PodStatus) {
    this.id = id;
    this.identity = identity;
    this.encoded = encoded;
    this.status = status;
  }

  get visible(): boolean {
    return this.status.state !== 'creating';
  }

  /** Containers that callers may see. */
  get listed(): Container[] {
    return [...this.containers.values()].filter((container) => container.visible);
  }
}

/** A container in memory. Its status is that of the last record written; only `Pods` changes it. */
export class Container implements ContainerView {
  readonly id: string;
  readonly podId: string;
  readonly identity: ContainerIdentity;
  readonly encoded: string;
  readonly made: ContainerMade;
  status: ContainerStatus;
  readonly timeline = new Timeline();
  /** Settled when the record says exited. */
  readonly exited = Promise.withResolvers<void>();

  // In flight, never stored.
  /** A create or start under way: the exit of its process is told after it. */
  busy: Promise<unknown> | undefined;
  /** Its record was lost, and is made again from its document: what became of it, the shim says. */
  rebuilt = false;
  /** A stop under way. */
  stop: StopInFlight | undefined;
  /** It may have started without anybody having been told: whoever starts it again is told so, also when it has ended. */
  startUntold = false;
  /** Bytes of its output that its log has not: the shim counts them. */
  logBytesDropped = 0;

  constructor(id: string, identity: ContainerIdentity, encoded: string, made: ContainerMade, status: ContainerStatus) {
    this.id = id;
    this.podId = identity.podId;
    this.identity = identity;
    this.encoded = encoded;
    this.made = made;
    this.status = status;
  }

  get visible(): boolean {
    return this.status.state !== 'creating';
  }
}

/** A stop that later stops can only make faster. */
export interface StopInFlight {
  readonly done: Promise<void>;
  /** Kills after this many milliseconds from now, if that is sooner than planned. */
  shorten(graceMs: number): void;
}
