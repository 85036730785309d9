import type { Ctx } from '#base/ctx';
import type { Fd } from '#linux/fd';
import type { Rlimit } from '#runtime/spec/rlimits';
import type { OciSpec } from '#runtime/spec/oci';
import type { ContainerInput, PodInput } from '#runtime/container-input';
import type { RuntimeStats } from './stats.ts';
import type { RuntimeStreams } from './streams.ts';

/**
 * How Linux runs pods and containers. Knows containers, not Kubernetes: `sandbox` decides what happens and when.
 *
 * Every call names ids that the caller made (64 hex). None of them is retried here. State of processes is the shim's;
 * the runtime remembers only which shims it is connected to.
 */
export interface Runtime extends RuntimeStats, RuntimeStreams {
  /** Starts the pod's shim, pause and namespaces. On failure nothing is left. @throws ALREADY_EXISTS */
  runPod(ctx: Ctx, pod: PodInput): Promise<PodProcess>;
  /** Kills what still runs in the pod, ends pause and the shim, removes the shim's cgroup and runtime directory. Idempotent. */
  endPod(ctx: Ctx, podId: string): Promise<void>;
  /** Adds to the pod's document, once: what is known only when the pod is whole. */
  addDocument(ctx: Ctx, podId: string, text: string): Promise<void>;
  /** What lies beside the shims, living or not. One that cannot be read is left out, and logged. */
  documents(ctx: Ctx): Promise<ReadonlyMap<string, PodDocuments>>;
  /** The network namespace of the pod's pause; undefined for a pod without a shim. @throws SHIM_DIED when it has died */
  openNetns(ctx: Ctx, podId: string): Promise<Fd | undefined>;

  /**
   * Makes the cgroup and the process, set up to the last step before execve. On failure nothing is left.
   *
   * @throws ALREADY_EXISTS for an id that the pod has, START_ERROR for what the container asks for itself,
   *   FAILED_PRECONDITION when pause has died
   */
  createContainer(ctx: Ctx, input: ContainerInput): Promise<CreatedContainer>;
  /**
   * Lets it go. Throws START_ERROR with details.exitCode (127, 126, 128) when execve failed: it is then exited.
   * NOT_FOUND, FAILED_PRECONDITION for one that was started or has ended.
   */
  startContainer(ctx: Ctx, podId: string, id: string): Promise<{ readonly startedAtNs: bigint }>;
  /** What the shim says of it now; undefined: it does not know it. */
  containerState(ctx: Ctx, podId: string, id: string): Promise<AdoptedContainer | undefined>;
  /** Sends a signal to init, or with `all` to every process. A container that is gone: no error. */
  signalContainer(ctx: Ctx, podId: string, id: string, signal: number, all?: boolean): Promise<void>;
  /**
   * Removes what is left of a container that does not run: shim entry, cgroup, document. One whose setup hangs is killed; what
   * cannot be killed is left behind for later, and shown by `strays`. Idempotent. FAILED_PRECONDITION for one that runs.
   */
  removeContainer(ctx: Ctx, podId: string, id: string, cgroupPath: string): Promise<void>;
  /** Ends a container that only the shim knows, whatever it does, with the control groups that it is in. Idempotent. */
  endContainer(ctx: Ctx, podId: string, id: string): Promise<void>;
  /**
   * Runs a command to its end, or a second past its time-out. Never throws for a command that fails; throws START_ERROR
   * when it could not be started, RESOURCE_EXHAUSTED when it was killed for its output (OutputBudget).
   */
  execSync(ctx: Ctx, podId: string, id: string, exec: ExecInput): Promise<ExecResult>;
  /** @throws NOT_FOUND, FAILED_PRECONDITION for a container that has ended */
  reopenLog(ctx: Ctx, podId: string, id: string): Promise<void>;
  /** The exit is in the store: the shim may forget its record file. Without a shim: no effect. @throws NOT_FOUND */
  acknowledgeExit(ctx: Ctx, podId: string, id: string): Promise<void>;

  /** Exits, pauses and shims that died (the pod's containers are then dead too). In order per pod. */
  onEvent(listener: (event: RuntimeEvent) => void): Disposable;

  /**
   * Recovery: connects to the shims of pods that were running, and waits a second for them at most. Those that answer are
   * adopted; where a shim is proven dead, the pod's groups are killed. Never throws for one pod.
   */
  adopt(ctx: Ctx, podIds: readonly string[], containers?: readonly KnownContainer[]): Promise<readonly AdoptedPod[]>;
  /** Kills the shim that `adopt` found silent, and pause; `later` tells the rest. One that has answered: no effect. */
  killSilent(ctx: Ctx, podId: string): Promise<void>;
  /** Processes, pod directories, documents and cgroups of Berth's that nobody knows. */
  strays(ctx: Ctx, known: Known): Promise<readonly Stray[]>;
  /** Asks every shim that is connected: a line for each that does not answer. Never throws for one pod. */
  silentShims(ctx: Ctx): Promise<readonly string[]>;

  /** What this machine and this berthd can do, for Status. */
  readonly features: RuntimeFeatures;
  close(): Promise<void>;
}

/** A container of the store, named so that its processes can be killed when its shim is gone. */
export interface KnownContainer {
  readonly podId: string;
  readonly id: string;
  readonly cgroupPath: string;
}

export interface PodProcess {
  /** 0: it has died. */
  readonly pausePid: number;
  readonly shimPid: number;
}

export interface CreatedContainer {
  readonly pid: number;
  readonly cgroupPath: string;
  /** What was asked and could not be had, for the log and `verbose` info. */
  readonly warnings: readonly string[];
  /** What the container runs by, for inspect. */
  readonly spec: OciSpec;
}

export interface ExecInput {
  /** Latin-1 strings: one character a byte. */
  readonly args: readonly string[];
  /** Milliseconds; 0: none. */
  readonly timeoutMs: number;
  /** Until the command is executed; none: as long as the caller waits. */
  readonly startTimeoutMs?: number;
  /** stdout and stderr together; what exceeds it is read and dropped. */
  readonly outputLimit: number;
  /** The container's spec, whose process the exec resembles. */
  readonly spec: OciSpec;
}

export interface ExecResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exitCode: number;
  /** It was killed, and nothing of its output is kept. */
  readonly timedOut: boolean;
  /** Timed out, and its process does not end: it hangs in the kernel. */
  readonly hangingPid?: number;
  readonly truncated: boolean;
}

export interface ExitInfo {
  /** 128 + n for a signal. */
  readonly exitCode: number;
  readonly signal: number;
  readonly oomKilled: boolean;
  readonly finishedAtNs: bigint;
  /** 0n: it was never started. */
  readonly startedAtNs: bigint;
}

export type RuntimeEvent =
  | { readonly type: 'exit'; readonly podId: string; readonly containerId: string; readonly exit: ExitInfo }
  /** Its log could not be written: so many bytes are lost since it was made. */
  | { readonly type: 'logDropped'; readonly podId: string; readonly containerId: string; readonly bytes: number }
  | { readonly type: 'podLost'; readonly podId: string; readonly reason: string }
  /** What held the pod's namespaces has died: nothing new can be started in them. Its containers go on. */
  | { readonly type: 'pauseEnded'; readonly podId: string };

export type AdoptedPod = AnsweredPod | LostPod | SilentPod;

export interface AnsweredPod {
  readonly podId: string;
  readonly shim: 'answers';
  readonly process: PodProcess;
  readonly containers: readonly AdoptedContainer[];
}

/** Its shim is dead: nobody listens where it did. What it left was killed. */
export interface LostPod {
  readonly podId: string;
  readonly shim: 'dead';
  readonly reason: string;
  /** Records that the shim wrote before it went. */
  readonly exits: ReadonlyMap<string, ExitInfo>;
}

/** Neither: stopped, frozen, busy. Nothing was done to it. */
export interface SilentPod {
  readonly podId: string;
  readonly shim: 'silent';
  /** 0: not found. */
  readonly shimPid: number;
  /** It lives, and its socket is gone: nobody can reach it any more. */
  readonly unreachable: boolean;
  /** Known containers that have processes. */
  readonly busy: ReadonlySet<string>;
  /** When it turns out; never rejects, and never ends if that never happens. */
  readonly later: Promise<AnsweredPod | LostPod>;
}

/** What was written beside a shim before its processes were made; whoever wrote it reads it. */
export interface PodDocuments {
  /** Undefined: there is none, or not any more. */
  readonly pod: string | undefined;
  /** What `addDocument` added. */
  readonly more: string | undefined;
  readonly containers: ReadonlyMap<string, string>;
}

/** Whose things are no strays. Asked after each look: things come and go meanwhile. */
export interface Known {
  readonly isPod: (id: string) => boolean;
  readonly isContainer: (id: string) => boolean;
  /** Ids that are Berth's and nobody's (a layer or a record has them): their groups are looked for below every parent. */
  readonly formerIds: ReadonlySet<string>;
  /** Also looks at every process of the machine. */
  readonly processes: boolean;
}

export interface Stray {
  /** A line for `berth check`. */
  readonly text: string;
  /** There are processes, of the pod or container of this id. */
  readonly living?: string;
  /** Ends and removes it; missing when that is tried already. */
  readonly end?: (ctx: Ctx) => Promise<void>;
}

export interface AdoptedContainer {
  readonly id: string;
  readonly state: 'created' | 'running' | 'exited';
  /** 0: it has exited. */
  readonly pid: number;
  readonly startedAtNs: bigint;
  readonly exit?: ExitInfo;
  /** Of its output, because its log could not be written; missing: none. */
  readonly logBytesDropped?: number;
}

export interface RuntimeFeatures {
  readonly cgroupVersion: 1 | 2;
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
  readonly controllers: readonly string[];
  readonly seccomp: boolean;
  readonly apparmor: boolean;
  readonly selinux: boolean;
  readonly userNamespaces: boolean;
  readonly recursiveReadOnlyMounts: boolean;
  /** What every process of a container is limited to. */
  readonly rlimits: readonly Rlimit[];
}
