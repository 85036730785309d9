import type { Duplex } from 'node:stream';
import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import { Listeners } from '#base/listeners';
import type { Fd } from '#linux/fd';
import type { CgroupStats } from './cgroup/stats.ts';
import type { ContainerInput, PodInput } from './container-input.ts';
import type {
  AdoptedContainer,
  AdoptedPod,
  CreatedContainer,
  ExecInput,
  ExecResult,
  ExitInfo,
  KnownContainer,
  PodProcess,
  Runtime,
  RuntimeEvent,
  RuntimeFeatures,
} from './runtime.ts';
import type { LinuxResources, OciSpec } from './spec/oci.ts';
import type { InterfaceStats, ProcessStats, RuntimeSample, WantedStats } from './stats.ts';
import { FakeStreams } from './streams.fake.ts';
import type { Attachment, AttachOptions, ExecOptions, RunningExec } from './streams.ts';

export interface FakeContainer {
  readonly input: ContainerInput;
  readonly pid: number;
  state: 'created' | 'running' | 'exited';
  startedAtNs: bigint;
  exit: ExitInfo | undefined;
  readonly signals: number[];
  acknowledged: boolean;
  /** Every change of its limits. */
  readonly updates: LinuxResources[];
}

export interface FakePod {
  readonly input: PodInput;
  process: PodProcess;
  readonly containers: Map<string, FakeContainer>;
  /** Rejected when the shim ends: whoever waits for an answer of it waits no longer. */
  readonly ended: PromiseWithResolvers<never>;
}

/** The calls a test can delay or make fail, by name. */
export type FakeCall =
  | 'runPod'
  | 'endPod'
  | 'createContainer'
  | 'startContainer'
  | 'signalContainer'
  | 'removeContainer'
  | 'execSync'
  | 'exec'
  | 'attach'
  | 'dial'
  | 'acknowledgeExit'
  | 'sample'
  | 'updateContainer';

const sigkill = 9;
const sigterm = 15;

/** A machine made of Maps. It is the shims' side of the world: share one between two Sandboxes to play a restart. */
export class FakeMachine {
  readonly pods = new Map<string, FakePod>();
  /** Pods whose shim is gone, with the exits it had written. */
  readonly lost = new Map<string, Map<string, ExitInfo>>();
  /** What `sample` finds, by cgroup path, pod id and container id. */
  readonly usage = new Map<string, CgroupStats>();
  readonly networks = new Map<string, readonly InterfaceStats[]>();
  readonly processes = new Map<string, ProcessStats>();
  now = 1_700_000_000_000_000_000n;
  nextPid = 100;
}

/** Pods and containers without a kernel: exits, delays and failures as a test asks for them. */
export class FakeRuntime implements Runtime {
  readonly machine: FakeMachine;
  readonly #events: Listeners<RuntimeEvent>;
  readonly #failures = new Map<FakeCall, unknown[]>();
  readonly #holds = new Map<FakeCall, Promise<void>>();
  /** Every call, as "runPod <id>". */
  readonly calls: string[] = [];
  readonly streams = new FakeStreams();
  /** Signals a container survives; SIGKILL always ends it. */
  readonly ignoredSignals = new Set<number>();
  /** A container that even SIGKILL does not end (uninterruptible sleep). */
  unkillable = false;
  /** Containers end right after their start with this code. */
  exitAtStart: number | undefined;
  execResult: ExecResult = {
    stdout: Buffer.from('out'),
    stderr: Buffer.from('err'),
    exitCode: 0,
    timedOut: false,
    truncated: false,
  };
  features: RuntimeFeatures = {
    cgroupVersion: 2,
    cgroupDriver: 'cgroupfs',
    controllers: ['cpu', 'memory', 'pids'],
    seccomp: true,
    apparmor: false,
    selinux: false,
    userNamespaces: false,
    recursiveReadOnlyMounts: true,
    rlimits: [{ type: 'RLIMIT_STACK', soft: 8n * 1024n * 1024n, hard: 8n * 1024n * 1024n }],
  };

  constructor(machine = new FakeMachine()) {
    this.machine = machine;
    this.#events = new Listeners((error) => {
      throw error;
    });
  }

  /** The next call of that name throws this. */
  failNext(call: FakeCall, error: unknown): void {
    this.#failures.set(call, [...(this.#failures.get(call) ?? []), error]);
  }

  /** Calls of that name wait until the result is disposed (or their signal aborts). */
  hold(call: FakeCall): Disposable {
    const held = Promise.withResolvers<void>();
    this.#holds.set(call, held.promise);
    return {
      [Symbol.dispose]: () => {
        this.#holds.delete(call);
        held.resolve();
      },
    };
  }

  container(id: string): FakeContainer | undefined {
    for (const pod of this.machine.pods.values()) {
      const container = pod.containers.get(id);
      if (container) return container;
    }
    return undefined;
  }

  /** Ends a container from inside. */
  exit(id: string, exitCode: number, more: Partial<ExitInfo> = {}): void {
    const container = this.container(id);
    if (!container || container.state === 'exited') return;
    container.state = 'exited';
    const { startedAtNs } = container;
    const finishedAtNs = ++this.machine.now;
    container.exit = { exitCode, signal: 0, oomKilled: false, finishedAtNs, startedAtNs, ...more };
    const { podId } = container.input;
    this.#events.emit({ type: 'exit', podId, containerId: id, exit: container.exit });
  }

  /** Kills a pod's shim, and with it everything in the pod. */
  loseShim(podId: string): void {
    this.#end(podId);
    this.#events.emit({ type: 'podLost', podId, reason: 'the shim died' });
  }

  /** Kills what holds a pod's namespaces; its containers go on. */
  endPause(podId: string): void {
    const pod = this.machine.pods.get(podId);
    if (!pod) return;
    pod.process = { ...pod.process, pausePid: 0 };
    this.#events.emit({ type: 'pauseEnded', podId });
  }

  /** The machine goes on; this berthd hears nothing more. */
  async close(): Promise<void> {
    return;
  }

  async runPod(ctx: Ctx, input: PodInput): Promise<PodProcess> {
    await this.#call(ctx, 'runPod', input.podId);
    const pid = this.machine.nextPid++;
    const process = { pausePid: pid, shimPid: pid + 10_000, startedAtNs: ++this.machine.now };
    const ended = Promise.withResolvers<never>();
    ended.promise.catch(() => undefined);
    this.machine.pods.set(input.podId, { input, process, containers: new Map(), ended });
    return process;
  }

  async endPod(ctx: Ctx, podId: string): Promise<void> {
    await this.#call(ctx, 'endPod', podId);
    this.#end(podId);
    this.machine.lost.delete(podId);
  }

  async openNetns(): Promise<Fd | undefined> {
    return undefined;
  }

  async createContainer(ctx: Ctx, input: ContainerInput): Promise<CreatedContainer> {
    const pod = this.#pod(input.podId);
    await Promise.race([this.#call(ctx, 'createContainer', input.id), pod.ended.promise]);
    const container: FakeContainer = {
      input,
      pid: this.machine.nextPid++,
      state: 'created',
      startedAtNs: 0n,
      exit: undefined,
      signals: [],
      acknowledged: false,
      updates: [],
    };
    pod.containers.set(input.id, container);
    return { pid: container.pid, cgroupPath: input.cgroupPath, warnings: [], spec: fakeSpec(input) };
  }

  async startContainer(ctx: Ctx, podId: string, id: string): Promise<{ readonly startedAtNs: bigint }> {
    const container = this.#pod(podId).containers.get(id);
    if (container?.state !== 'created') throw new BerthError('FAILED_PRECONDITION', `container ${id} is not created`);
    container.startedAtNs = ++this.machine.now;
    try {
      await this.#call(ctx, 'startContainer', id);
    } catch (error) {
      this.exit(id, 127);
      throw error;
    }
    container.state = 'running';
    if (this.exitAtStart !== undefined) this.exit(id, this.exitAtStart);
    return { startedAtNs: container.startedAtNs };
  }

  async containerState(_ctx: Ctx, podId: string, id: string): Promise<AdoptedContainer | undefined> {
    const container = this.#pod(podId).containers.get(id);
    return container && toAdopted(container);
  }

  async signalContainer(ctx: Ctx, _podId: string, id: string, signal: number): Promise<void> {
    await this.#call(ctx, 'signalContainer', id);
    const container = this.container(id);
    if (!container || container.state === 'exited') return;
    container.signals.push(signal);
    if (signal === sigkill ? this.unkillable : this.ignoredSignals.has(signal)) return;
    if (signal === sigkill || signal === sigterm) this.exit(id, 128 + signal, { signal });
  }

  async removeContainer(ctx: Ctx, podId: string, id: string): Promise<void> {
    await this.#call(ctx, 'removeContainer', id);
    this.machine.pods.get(podId)?.containers.delete(id);
  }

  async execSync(ctx: Ctx, podId: string, id: string, exec: ExecInput): Promise<ExecResult> {
    this.#pod(podId);
    await this.#call(ctx, 'execSync', `${id} ${exec.args.join(' ')}`);
    return this.execResult;
  }

  // Conversations: a test plays the process, in `streams`.

  async exec(ctx: Ctx, podId: string, id: string, options: ExecOptions): Promise<RunningExec> {
    this.#pod(podId);
    await this.#call(ctx, 'exec', `${id} ${options.args.join(' ')}`);
    return this.streams.exec(id, options);
  }

  async attach(ctx: Ctx, podId: string, id: string, options: AttachOptions): Promise<Attachment> {
    this.#pod(podId);
    await this.#call(ctx, 'attach', id);
    return this.streams.attach(id, options);
  }

  async dial(ctx: Ctx, podId: string, port: number): Promise<Duplex> {
    this.#pod(podId);
    await this.#call(ctx, 'dial', `${podId} ${port}`);
    return this.streams.dial(podId, port);
  }

  async reopenLog(ctx: Ctx, podId: string, id: string): Promise<void> {
    this.#pod(podId);
    this.calls.push(`reopenLog ${id}`);
    ctx.signal.throwIfAborted();
  }

  async acknowledgeExit(ctx: Ctx, _podId: string, id: string): Promise<void> {
    await this.#call(ctx, 'acknowledgeExit', id);
    const container = this.container(id);
    if (container) container.acknowledged = true;
  }

  async sample(ctx: Ctx, wanted: WantedStats): Promise<RuntimeSample> {
    await this.#call(ctx, 'sample', wanted.detail ? 'detail' : '');
    const { usage, networks, processes } = this.machine;
    return {
      cgroups: some(usage, wanted.cgroups),
      networks: some(networks, wanted.networks),
      processes: some(
        processes,
        wanted.processes.map(({ id }) => id),
      ),
    };
  }

  async updateContainer(ctx: Ctx, cgroupPath: string, resources: LinuxResources): Promise<() => Promise<void>> {
    await this.#call(ctx, 'updateContainer', cgroupPath);
    const containers = [...this.machine.pods.values()].flatMap((pod) => [...pod.containers.values()]);
    const updates = containers.find(({ input }) => input.cgroupPath === cgroupPath)?.updates;
    updates?.push(resources);
    return async () => void updates?.pop();
  }

  deviceName(major: number, minor: number): string {
    return `/dev/disk-${major}-${minor}`;
  }

  onEvent(listener: (event: RuntimeEvent) => void): Disposable {
    return this.#events.add(listener);
  }

  async adopt(
    _ctx: Ctx,
    podIds: readonly string[],
    _containers: readonly KnownContainer[] = [],
  ): Promise<readonly AdoptedPod[]> {
    return podIds.map((podId) => {
      const pod = this.machine.pods.get(podId);
      if (!pod) {
        const exits = this.machine.lost.get(podId) ?? new Map<string, ExitInfo>();
        return { podId, alive: false, reason: 'nobody listens', exits };
      }
      const containers = [...pod.containers.values()].map(toAdopted);
      return { podId, alive: true, process: pod.process, containers };
    });
  }

  async strays(
    _ctx: Ctx,
    podIds: ReadonlySet<string>,
    _containerIds: ReadonlySet<string>,
    options: { remove: boolean } = { remove: false },
  ): Promise<readonly string[]> {
    const found = [...this.machine.pods.keys()].filter((id) => !podIds.has(id));
    if (options.remove) for (const id of found) this.machine.pods.delete(id);
    return found.map((id) => `pod directory ${id}`);
  }

  #end(podId: string): void {
    const pod = this.machine.pods.get(podId);
    this.machine.pods.delete(podId);
    pod?.ended.reject(new BerthError('SHIM_DIED', `pod ${podId} has no shim any more`));
  }

  #pod(podId: string): FakePod {
    const pod = this.machine.pods.get(podId);
    if (!pod) throw new BerthError('SHIM_DIED', `pod ${podId} has no shim: it is not running`);
    return pod;
  }

  async #call(ctx: Ctx, call: FakeCall, what: string): Promise<void> {
    this.calls.push(`${call} ${what}`);
    const hold = this.#holds.get(call);
    if (hold) await raceSignal(hold, ctx.signal);
    ctx.signal.throwIfAborted();
    const failures = this.#failures.get(call);
    if (failures?.length) throw failures.shift();
  }
}

function some<T>(all: ReadonlyMap<string, T>, keys: readonly string[]): Map<string, T> {
  return new Map([...all].filter(([key]) => keys.includes(key)));
}

function toAdopted({ input, state, pid, startedAtNs, exit }: FakeContainer): AdoptedContainer {
  return { id: input.id, state, pid, startedAtNs, ...(exit ? { exit } : {}) };
}

/** Enough of a spec to be stored and shown. */
function fakeSpec(input: ContainerInput): OciSpec {
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
