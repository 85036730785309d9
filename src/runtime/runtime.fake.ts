import type { Duplex } from 'node:stream';
import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import { Listeners } from '#base/listeners';
import type { Fd } from '#linux/fd';
import type { ContainerInput, PodInput } from './container-input.ts';
import type {
  AdoptedContainer,
  AdoptedPod,
  AnsweredPod,
  CreatedContainer,
  ExecInput,
  ExecResult,
  ExitInfo,
  Known,
  KnownContainer,
  LostPod,
  PodDocuments,
  PodProcess,
  Runtime,
  RuntimeEvent,
  RuntimeFeatures,
  Stray,
} from './runtime.ts';
import { type FakeContainer, FakeMachine, type FakePod, fakeSpec } from './machine.fake.ts';
import type { LinuxResources } from './spec/oci.ts';
import type { RuntimeSample, WantedStats } from './stats.ts';
import { FakeStreams } from './streams.fake.ts';
import type { Attachment, AttachOptions, ExecOptions, RunningExec } from './streams.ts';

/** The calls a test can delay or make fail, by name. */
export type FakeCall =
  | 'runPod'
  | 'endPod'
  | 'createContainer'
  | 'startContainer'
  | 'signalContainer'
  | 'removeContainer'
  | 'endContainer'
  | 'execSync'
  | 'exec'
  | 'attach'
  | 'dial'
  | 'acknowledgeExit'
  | 'sample'
  | 'updateContainer';

const sigkill = 9;
const sigterm = 15;

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
    this.machine.groups.delete(id);
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
    const { podId, document } = input;
    this.machine.documents.set(podId, { pod: document, more: undefined, containers: new Map() });
    try {
      await this.#call(ctx, 'runPod', podId);
    } catch (error) {
      this.machine.documents.delete(podId);
      throw error;
    }
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
    this.machine.documents.delete(podId);
  }

  async addDocument(_ctx: Ctx, podId: string, text: string): Promise<void> {
    const documents = this.machine.documents.get(podId);
    if (!documents) throw new BerthError('KERNEL', `pod ${podId} has no directory: ENOENT`);
    documents.more = text;
  }

  async documents(): Promise<ReadonlyMap<string, PodDocuments>> {
    return new Map(this.machine.documents);
  }

  async openNetns(): Promise<Fd | undefined> {
    return undefined;
  }

  async createContainer(ctx: Ctx, input: ContainerInput): Promise<CreatedContainer> {
    const pod = this.#pod(input.podId);
    const spec = fakeSpec(input);
    const documents = this.machine.documents.get(input.podId);
    documents?.containers.set(input.id, input.document(spec));
    try {
      await Promise.race([this.#call(ctx, 'createContainer', input.id), pod.ended.promise]);
    } catch (error) {
      documents?.containers.delete(input.id);
      throw error;
    }
    this.machine.groups.set(input.id, { podId: input.podId, path: input.cgroupPath });
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
    return { pid: container.pid, cgroupPath: input.cgroupPath, warnings: [], spec };
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

  async removeContainer(ctx: Ctx, podId: string, id: string, _cgroupPath: string): Promise<void> {
    await this.#call(ctx, 'removeContainer', id);
    const containers = this.machine.pods.get(podId)?.containers;
    // A shim refuses as well: what runs is killed first.
    if (containers?.get(id)?.state === 'running') {
      throw new BerthError('FAILED_PRECONDITION', `remove container ${id}: the container is running`);
    }
    this.#forget(podId, id);
  }

  async endContainer(ctx: Ctx, podId: string, id: string): Promise<void> {
    await this.#call(ctx, 'endContainer', id);
    this.#pod(podId);
    this.#forget(podId, id);
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
    containers: readonly KnownContainer[] = [],
  ): Promise<readonly AdoptedPod[]> {
    return podIds.map((podId) => {
      const known = containers.filter((container) => container.podId === podId);
      const stopped = this.machine.stopped.get(podId)?.promise;
      if (stopped === undefined) return this.#adoptOne(podId, known);
      const busy = new Set(known.map(({ id }) => id).filter((id) => this.machine.groups.has(id)));
      return { podId, shim: 'silent', shimPid: 4711, busy, later: stopped.then(() => this.#adoptOne(podId, known)) };
    });
  }

  async silentShims(): Promise<readonly string[]> {
    return [...this.machine.hanging];
  }

  async strays(_ctx: Ctx, { isPod, isContainer, formerIds }: Known): Promise<readonly Stray[]> {
    const { pods, documents, groups } = this.machine;
    const lost = new Set([...pods.keys(), ...documents.keys()].filter((id) => !isPod(id)));
    // Below Berth's own parent, or where a shim or an id tells that they are Berth's.
    const groupsOfNobody = [...groups].filter(
      ([id, { podId, path }]) =>
        !isContainer(id) && (path.startsWith('/berth/') || formerIds.has(id) || pods.has(podId)),
    );
    const written = [...documents].filter(([podId]) => isPod(podId));
    return [
      ...groupsOfNobody.map(([id, { path }]) => ({
        text: `container cgroup ${path}`,
        living: id,
        end: async () => void groups.delete(id),
      })),
      ...[...lost].map((id) => ({
        text: `shim or directory of pod ${id}`,
        ...(pods.has(id) && { living: id }),
        end: async () => {
          pods.delete(id);
          documents.delete(id);
        },
      })),
      ...written.flatMap(([podId, { containers }]) =>
        [...containers.keys()]
          .filter((id) => !isContainer(id))
          .map((id) => ({
            text: `document of container ${id} in ${podId}`,
            end: async () => void containers.delete(id),
          })),
      ),
    ];
  }

  #adoptOne(podId: string, known: readonly KnownContainer[]): AnsweredPod | LostPod {
    const pod = this.machine.pods.get(podId);
    if (pod)
      return { podId, shim: 'answers', process: pod.process, containers: [...pod.containers.values()].map(toAdopted) };
    for (const { id } of known) this.machine.groups.delete(id);
    const exits = this.machine.lost.get(podId) ?? new Map<string, ExitInfo>();
    return { podId, shim: 'dead', reason: 'nobody listens', exits };
  }

  #forget(podId: string, id: string): void {
    this.machine.pods.get(podId)?.containers.delete(id);
    this.machine.groups.delete(id);
    this.machine.documents.get(podId)?.containers.delete(id);
  }

  #end(podId: string): void {
    const pod = this.machine.pods.get(podId);
    this.machine.pods.delete(podId);
    for (const id of pod?.containers.keys() ?? []) this.machine.groups.delete(id);
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
