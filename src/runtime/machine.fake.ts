import { BerthError } from '#base/errors';
import type { CgroupStats } from './cgroup/stats.ts';
import type { ContainerInput, PodInput } from './container-input.ts';
import type { FakeProgram } from './fake/programs.fake.ts';
import type { ExitInfo, PodProcess, RuntimeEvent } from './runtime.ts';
import type { LinuxResources, OciSpec } from './spec/oci.ts';
import type { InterfaceStats, ProcessStats } from './stats.ts';
import type { FakeAttachment, FakeExec } from './streams.fake.ts';

export interface FakeContainer {
  readonly input: ContainerInput;
  readonly pid: number;
  /** What it runs; undefined: a program that nobody described, which runs until it is told or made to end. */
  readonly program: FakeProgram | undefined;
  state: 'created' | 'running' | 'exited';
  startedAtNs: bigint;
  exit: ExitInfo | undefined;
  readonly signals: number[];
  acknowledged: boolean;
  /** Every change of its limits. */
  readonly updates: LinuxResources[];
  /** What goes on with its processes. */
  readonly conversations: Set<FakeExec | FakeAttachment>;
  logBytesDropped?: number;
}

export interface FakePod {
  readonly input: PodInput;
  process: PodProcess;
  readonly containers: Map<string, FakeContainer>;
  /** Rejected when the shim ends: whoever waits for an answer of it waits no longer. */
  readonly ended: PromiseWithResolvers<never>;
  /** Whom its shim tells what happens: the berthd that is connected to it, or was last. */
  tell: (event: RuntimeEvent) => void;
}

export interface FakeDocuments {
  pod: string | undefined;
  more: string | undefined;
  readonly containers: Map<string, string>;
}

export interface FakeGroup {
  readonly podId: string;
  readonly path: string;
  /** It has processes. */
  living: boolean;
}

/** A machine made of Maps. It is the shims' side of the world: share one between two Sandboxes to play a restart. */
export class FakeMachine {
  readonly pods = new Map<string, FakePod>();
  /** Pods whose shim is gone, with the exits it had written. */
  readonly lost = new Map<string, Map<string, ExitInfo>>();
  /**
   * What `sample` finds instead of what a container would use, by cgroup path, pod id and container id. Undefined: it
   * cannot be read.
   */
  readonly usage = new Map<string, CgroupStats | undefined>();
  readonly networks = new Map<string, readonly InterfaceStats[]>();
  readonly processes = new Map<string, ProcessStats>();
  /** Control groups of containers, by container; they outlive the shim. */
  readonly groups = new Map<string, FakeGroup>();
  /** What lies beside the shims. */
  readonly documents = new Map<string, FakeDocuments>();
  /** Pods whose shim is stopped: they answer nobody until the promise is resolved. */
  readonly stopped = new Map<string, PromiseWithResolvers<void>>();
  /** Those of `stopped` whose socket is gone. */
  readonly unreachable = new Set<string>();
  /** Containers whose processes hang in the kernel: SIGKILL ends them no more than their pod's end does. */
  readonly hung = new Set<string>();
  /** What is said of shims that hang while berthd runs. */
  readonly hanging: string[] = [];
  /** Namespaces that were opened and not closed. */
  readonly openNamespaces = new Set<number>();
  /** What commands do. */
  programs: (args: readonly string[]) => FakeProgram | undefined = () => undefined;
  now = 1_700_000_000_000_000_000n;
  nextPid = 100;
  nextFd = 2_000_000;

  /** Containers that have processes. */
  get busy(): readonly string[] {
    return [...this.groups].flatMap(([id, { living }]) => (living ? [id] : []));
  }

  *allContainers(): Generator<FakeContainer> {
    for (const pod of this.pods.values()) yield* pod.containers.values();
  }

  container(id: string): FakeContainer | undefined {
    return [...this.allContainers()].find(({ input }) => input.id === id);
  }

  /** A container ends, from inside or killed; who shares its processes ends with it. */
  exit(id: string, exitCode: number, more: Partial<ExitInfo> = {}): void {
    const group = this.groups.get(id);
    if (group) group.living = false;
    const container = this.container(id);
    if (!container || container.state === 'exited') return;
    container.state = 'exited';
    const { startedAtNs, input, conversations } = container;
    container.exit = { exitCode, signal: 0, oomKilled: false, finishedAtNs: ++this.now, startedAtNs, ...more };
    for (const conversation of conversations) conversation.containerEnded();
    conversations.clear();
    const { podId } = input;
    this.pods.get(podId)?.tell({ type: 'exit', podId, containerId: id, exit: container.exit });
    for (const other of this.allContainers()) {
      if (typeof other.input.pid === 'object' && other.input.pid.target === id) {
        this.exit(other.input.id, 137, { signal: 9 });
      }
    }
  }

  /** A pod's shim is killed, and with it everything in the pod. */
  loseShim(podId: string): void {
    const pod = this.pods.get(podId);
    if (!pod) return;
    const exits = new Map<string, ExitInfo>();
    for (const [id, { exit, acknowledged }] of pod.containers) if (exit && !acknowledged) exits.set(id, exit);
    this.#dropPod(podId, pod);
    this.lost.set(podId, exits);
    for (const [containerId, exit] of exits) pod.tell({ type: 'exit', podId, containerId, exit });
    pod.tell({ type: 'podLost', podId, reason: 'the shim died' });
    this.stopped.get(podId)?.resolve();
  }

  /** A container's log cannot be written: so much of its output is lost, since it was made. */
  loseOutput(id: string, bytes: number): void {
    const container = this.container(id);
    if (!container) return;
    container.logBytesDropped = bytes;
    this.pods
      .get(container.input.podId)
      ?.tell({ type: 'logDropped', podId: container.input.podId, containerId: id, bytes });
  }

  /** What holds a pod's namespaces is killed; its containers go on. */
  endPause(podId: string): void {
    const pod = this.pods.get(podId);
    if (!pod) return;
    pod.process = { ...pod.process, pausePid: 0 };
    pod.tell({ type: 'pauseEnded', podId });
  }

  /** A shim ends its pod: first the containers, which is told. */
  endPod(podId: string): void {
    const pod = this.pods.get(podId);
    if (!pod) return;
    for (const id of pod.containers.keys()) if (!this.hung.has(id)) this.exit(id, 137, { signal: 9 });
    this.#dropPod(podId, pod);
  }

  #dropPod(podId: string, pod: FakePod): void {
    this.pods.delete(podId);
    for (const [id, { conversations }] of pod.containers) {
      const group = this.groups.get(id);
      if (group && !this.hung.has(id)) group.living = false;
      for (const conversation of conversations) conversation.loseShim();
    }
    pod.ended.reject(new BerthError('SHIM_DIED', `pod ${podId} has no shim any more`));
  }
}

/** Enough of a spec to be stored and shown. */
export function fakeSpec(input: ContainerInput): OciSpec {
  const capabilities = ['CAP_CHOWN'];
  return {
    ociVersion: '1.2.1',
    process: {
      terminal: input.tty,
      user: { uid: input.user.uid, gid: input.user.gid, umask: 0o022, additionalGids: [...input.user.additionalGids] },
      args: [...input.args],
      env: [...input.env],
      cwd: input.cwd,
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        inheritable: [],
        ambient: [],
      },
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024n, hard: 524_288n }],
      noNewPrivileges: input.noNewPrivileges,
    },
    root: { path: 'rootfs', readonly: input.rootfs.readonly },
    mounts: [],
    annotations: { ...input.annotations },
    linux: {
      namespaces: [{ type: 'mount' }],
      devices: [],
      cgroupsPath: input.cgroupPath,
      resources: {},
      sysctl: {},
      ...(input.seccomp.type === 'unconfined'
        ? {}
        : { seccomp: { defaultAction: 'SCMP_ACT_ERRNO', architectures: [], flags: [], syscalls: [] } }),
      maskedPaths: [...input.maskedPaths],
      readonlyPaths: [...input.readonlyPaths],
      rootfsPropagation: 'private',
    },
  };
}
