import type { Duplex } from 'node:stream';
import type { Ctx } from '#base/ctx';
import { BerthError, isBerthError } from '#base/errors';
import { Listeners } from '#base/listeners';
import { Fd } from '#linux/fd';
import type { ContainerInput, PodInput } from './container-input.ts';
import { FakeCalls, type FakeCall } from './fake/calls.fake.ts';
import { checkStart, playAttached, playExec, runToEnd, takesInput, withinLimit } from './fake/programs.fake.ts';
import { fakeExecResult, fakeFeatures } from './fake/answers.fake.ts';
import { FakeShims, toAdopted } from './fake/shims.fake.ts';
import { fakeStrays } from './fake/strays.fake.ts';
import { fakeSample, fakeUpdate } from './fake/usage.fake.ts';
import { type FakeContainer, FakeMachine, fakeSpec } from './machine.fake.ts';
import type {
  AdoptedContainer,
  AdoptedPod,
  CreatedContainer,
  ExecInput,
  ExecResult,
  ExitInfo,
  Known,
  KnownContainer,
  PodDocuments,
  PodProcess,
  Runtime,
  RuntimeEvent,
  Stray,
} from './runtime.ts';
import type { LinuxResources } from './spec/oci.ts';
import type { RuntimeSample, WantedStats } from './stats.ts';
import { FakeStreams } from './streams.fake.ts';
import type { Attachment, AttachOptions, ExecOptions, RunningExec } from './streams.ts';

const sigkill = 9;
const sigterm = 15;
/** signal(7): their default is another than to end a process. SIGCHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH. */
const harmless = new Set([0, 17, 18, 19, 20, 21, 22, 23, 28]);

/** Pods and containers without a kernel: exits, delays and failures as a test asks for them. Passes runtimeContract. */
export class FakeRuntime implements Runtime {
  readonly machine: FakeMachine;
  readonly #events: Listeners<RuntimeEvent>;
  readonly #orders = new FakeCalls();
  readonly #shims: FakeShims;
  /** Every call, as "runPod <id>". */
  readonly calls = this.#orders.made;
  readonly streams = new FakeStreams();
  /** Signals a container survives; SIGKILL always ends it. */
  readonly ignoredSignals = new Set<number>();
  /** A container that even SIGKILL does not end (uninterruptible sleep). */
  unkillable = false;
  /** Containers whose program nobody described end right after their start with this code. */
  exitAtStart: number | undefined;
  /** What such a program gives when it is run to its end. */
  execResult = fakeExecResult;
  features = fakeFeatures;

  constructor(machine = new FakeMachine()) {
    this.machine = machine;
    this.#events = new Listeners((error) => {
      throw error;
    });
    this.#shims = new FakeShims(machine, (event) => this.#events.emit(event));
  }

  /** The next call of that name throws this. */
  failNext(call: FakeCall, error: unknown): void {
    this.#orders.failNext(call, error);
  }

  /** Calls of that name wait until the result is disposed (or their signal aborts). */
  hold(call: FakeCall): Disposable {
    return this.#orders.hold(call);
  }

  container(id: string): FakeContainer | undefined {
    return this.machine.container(id);
  }

  /** Ends a container from inside. */
  exit(id: string, exitCode: number, more: Partial<ExitInfo> = {}): void {
    this.machine.exit(id, exitCode, more);
  }

  /** Kills a pod's shim, and with it everything in the pod. */
  loseShim(podId: string): void {
    this.machine.loseShim(podId);
  }

  /** Kills what holds a pod's namespaces; its containers go on. */
  endPause(podId: string): void {
    this.machine.endPause(podId);
  }

  /** The machine goes on; this berthd hears nothing more. */
  async close(): Promise<void> {
    this.#shims.close();
  }

  async runPod(ctx: Ctx, input: PodInput): Promise<PodProcess> {
    const { podId, document } = input;
    const { documents, pods } = this.machine;
    if (documents.has(podId)) throw new BerthError('ALREADY_EXISTS', `pod ${podId} has a directory`);
    documents.set(podId, { pod: document, more: undefined, containers: new Map() });
    try {
      await this.#orders.enter(ctx, 'runPod', podId);
    } catch (error) {
      documents.delete(podId);
      throw error;
    }
    const pid = this.machine.nextPid++;
    const process = { pausePid: pid, shimPid: pid + 10_000 };
    const ended = Promise.withResolvers<never>();
    ended.promise.catch(() => undefined);
    pods.set(podId, { input, process, containers: new Map(), ended, tell: () => undefined });
    this.#shims.connect(podId);
    return process;
  }

  async endPod(ctx: Ctx, podId: string): Promise<void> {
    await this.#orders.enter(ctx, 'endPod', podId);
    this.machine.endPod(podId);
    this.machine.lost.delete(podId);
    this.machine.documents.delete(podId);
  }

  async addDocument(_ctx: Ctx, podId: string, text: string): Promise<void> {
    const documents = this.machine.documents.get(podId);
    if (!documents) throw new BerthError('KERNEL', `pod ${podId} has no directory: ENOENT`);
    documents.more = text;
  }

  async documents(): Promise<ReadonlyMap<string, PodDocuments>> {
    const copies = [...this.machine.documents].map(
      ([podId, { pod, more, containers }]) => [podId, { pod, more, containers: new Map(containers) }] as const,
    );
    return new Map(copies);
  }

  async openNetns(_ctx: Ctx, podId: string): Promise<Fd | undefined> {
    if (!this.#shims.find(podId)) return undefined;
    this.#shims.livingPause(podId);
    const { openNamespaces } = this.machine;
    const number = this.machine.nextFd++;
    openNamespaces.add(number);
    return new Fd(number, (fd) => void openNamespaces.delete(fd));
  }

  async createContainer(ctx: Ctx, input: ContainerInput): Promise<CreatedContainer> {
    const { podId, id, cgroupPath } = input;
    const pod = this.#shims.pod(podId);
    const documents = this.machine.documents.get(podId);
    if (pod.containers.has(id) || documents?.containers.has(id)) {
      throw new BerthError('ALREADY_EXISTS', `pod ${podId} has a container ${id}`);
    }
    if (typeof input.pid === 'object' && pod.containers.get(input.pid.target)?.state !== 'running') {
      throw new BerthError('NOT_FOUND', `container ${input.pid.target} is not running`);
    }
    const spec = fakeSpec(input);
    documents?.containers.set(id, input.document(spec));
    try {
      await Promise.race([this.#orders.enter(ctx, 'createContainer', id), pod.ended.promise]);
      if (pod.process.pausePid === 0) throw new BerthError('FAILED_PRECONDITION', `pause of pod ${podId} has died`);
    } catch (error) {
      documents?.containers.delete(id);
      throw error;
    }
    this.machine.groups.set(id, { podId, path: cgroupPath, living: true });
    const container: FakeContainer = {
      input,
      pid: this.machine.nextPid++,
      program: this.machine.programs(input.args),
      state: 'created',
      startedAtNs: 0n,
      exit: undefined,
      signals: [],
      acknowledged: false,
      updates: [],
      conversations: new Set(),
    };
    pod.containers.set(id, container);
    return { pid: container.pid, cgroupPath, warnings: [], spec };
  }

  async startContainer(ctx: Ctx, podId: string, id: string): Promise<{ readonly startedAtNs: bigint }> {
    const container = this.#shims.container(podId, id);
    if (container.state !== 'created') throw new BerthError('FAILED_PRECONDITION', `container ${id} is not created`);
    try {
      await this.#orders.enter(ctx, 'startContainer', id);
      checkStart(container.program, container.input.args, `start container ${id}`);
    } catch (error) {
      // What was asked of a shim is done, although nobody waits for its answer.
      if (ctx.signal.aborted) this.#letGo(container);
      else this.exit(id, exitCodeOf(error));
      throw error;
    }
    this.#letGo(container);
    return { startedAtNs: container.startedAtNs };
  }

  async containerState(ctx: Ctx, podId: string, id: string): Promise<AdoptedContainer | undefined> {
    const pod = this.#shims.pod(podId);
    await this.#shims.answer(ctx, podId);
    const container = pod.containers.get(id);
    return container && toAdopted(container);
  }

  async signalContainer(ctx: Ctx, podId: string, id: string, signal: number): Promise<void> {
    await this.#orders.enter(ctx, 'signalContainer', id);
    const container = this.#shims.find(podId)?.containers.get(id);
    if (!container || container.state === 'exited') return;
    container.signals.push(signal);
    if (signal === sigkill ? this.unkillable || this.machine.hung.has(id) : this.ignoredSignals.has(signal)) return;
    const { program, input } = container;
    if (signal === sigterm && program?.onTerm !== undefined) {
      if (typeof program.onTerm === 'number') this.exit(id, program.onTerm);
      return;
    }
    // The kernel keeps from the first process of a pid namespace what it does not listen to.
    const first = program !== undefined && input.pid === 'container';
    if (signal === sigkill || !(first || harmless.has(signal))) this.exit(id, 128 + signal, { signal });
  }

  async removeContainer(ctx: Ctx, podId: string, id: string, _cgroupPath: string): Promise<void> {
    await this.#orders.enter(ctx, 'removeContainer', id);
    const pod = this.#shims.find(podId);
    if (!pod) {
      // Only its group tells of it.
      this.exit(id, 137, { signal: sigkill });
      this.machine.groups.delete(id);
      this.machine.documents.get(podId)?.containers.delete(id);
      return;
    }
    // A shim refuses as well: what runs is killed first.
    if (pod.containers.get(id)?.state === 'running') {
      throw new BerthError('FAILED_PRECONDITION', `remove container ${id}: the container is running`);
    }
    this.#forget(podId, id);
  }

  async endContainer(ctx: Ctx, podId: string, id: string): Promise<void> {
    await this.#orders.enter(ctx, 'endContainer', id);
    this.#shims.pod(podId);
    this.exit(id, 137, { signal: sigkill });
    this.#forget(podId, id);
  }

  async execSync(ctx: Ctx, podId: string, id: string, exec: ExecInput): Promise<ExecResult> {
    const container = this.#shims.running(podId, id);
    await this.#orders.enter(ctx, 'execSync', `${id} ${exec.args.join(' ')}`);
    const program = this.machine.programs(exec.args);
    checkStart(program, exec.args, `exec in container ${id}`);
    if (!program) return withinLimit(this.execResult, exec.outputLimit);
    return runToEnd(ctx, container, program, exec, this.#shims.pod(podId).ended.promise);
  }

  // Conversations: a test plays the process, in `streams`, unless its program is described.

  async exec(ctx: Ctx, podId: string, id: string, options: ExecOptions): Promise<RunningExec> {
    const container = this.#shims.running(podId, id);
    await this.#orders.enter(ctx, 'exec', `${id} ${options.args.join(' ')}`);
    const program = this.machine.programs(options.args);
    checkStart(program, options.args, `exec in container ${id}`);
    const exec = this.streams.exec(id, options);
    container.conversations.add(exec);
    const handle = exec.handle();
    if (program) playExec(exec, program);
    return handle;
  }

  async attach(ctx: Ctx, podId: string, id: string, options: AttachOptions): Promise<Attachment> {
    const container = this.#shims.container(podId, id);
    if (container.state === 'exited') throw new BerthError('FAILED_PRECONDITION', `container ${id} has ended`);
    await this.#orders.enter(ctx, 'attach', id);
    const attachment = this.streams.attach(id, options);
    container.conversations.add(attachment);
    playAttached(attachment, container, () => this.#endInput(container));
    return attachment.handle();
  }

  async dial(ctx: Ctx, podId: string, port: number): Promise<Duplex> {
    this.#shims.pod(podId);
    await this.#orders.enter(ctx, 'dial', `${podId} ${port}`);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new BerthError('INVALID_ARGUMENT', `port ${port} is not between 1 and 65535`);
    }
    this.#shims.livingPause(podId);
    return this.streams.dial(podId, port);
  }

  async reopenLog(ctx: Ctx, podId: string, id: string): Promise<void> {
    const { state } = this.#shims.container(podId, id);
    await this.#orders.enter(ctx, 'reopenLog', id);
    if (state === 'exited') throw new BerthError('FAILED_PRECONDITION', `container ${id} has no log any more`);
  }

  async acknowledgeExit(ctx: Ctx, podId: string, id: string): Promise<void> {
    await this.#orders.enter(ctx, 'acknowledgeExit', id);
    if (!this.#shims.find(podId)) return;
    const container = this.#shims.container(podId, id);
    if (!container.exit) throw new BerthError('NOT_FOUND', `container ${id} has no exit`);
    container.acknowledged = true;
  }

  async sample(ctx: Ctx, wanted: WantedStats): Promise<RuntimeSample> {
    await this.#orders.enter(ctx, 'sample', wanted.detail ? 'detail' : '');
    return fakeSample(this.machine, wanted);
  }

  async updateContainer(ctx: Ctx, cgroupPath: string, resources: LinuxResources): Promise<() => Promise<void>> {
    await this.#orders.enter(ctx, 'updateContainer', cgroupPath);
    return fakeUpdate(this.machine, cgroupPath, resources);
  }

  /** The node's only disk is 8:0. */
  deviceName(major: number, minor: number): string {
    return major === 8 && minor === 0 ? '/dev/sda' : `${major}:${minor}`;
  }

  onEvent(listener: (event: RuntimeEvent) => void): Disposable {
    return this.#events.add(listener);
  }

  async adopt(
    _ctx: Ctx,
    podIds: readonly string[],
    containers: readonly KnownContainer[] = [],
  ): Promise<readonly AdoptedPod[]> {
    return podIds.map((podId) =>
      this.#shims.adopt(
        podId,
        containers.filter((one) => one.podId === podId),
      ),
    );
  }

  async silentShims(): Promise<readonly string[]> {
    return [...this.machine.hanging, ...this.#shims.silent()];
  }

  async killSilent(ctx: Ctx, podId: string): Promise<void> {
    await this.#orders.enter(ctx, 'killSilent', podId);
    if (!this.#shims.find(podId)) this.machine.loseShim(podId);
  }

  async strays(_ctx: Ctx, known: Known): Promise<readonly Stray[]> {
    return fakeStrays(this.machine, known);
  }

  #letGo(container: FakeContainer): void {
    const { id } = container.input;
    container.startedAtNs = ++this.machine.now;
    container.state = 'running';
    const { program, conversations } = container;
    for (const { stdout, stderr } of conversations) {
      stdout?.write(program?.stdout ?? '');
      stderr?.write(program?.stderr ?? '');
    }
    if (program?.outOfMemory) this.exit(id, 137, { signal: sigkill, oomKilled: true });
    else if (!program && this.exitAtStart !== undefined) this.exit(id, this.exitAtStart);
    else if (program && (!takesInput(program) || !container.input.stdin)) this.#endInput(container);
  }

  #endInput({ program, input }: FakeContainer): void {
    if (program?.exitCode !== undefined) this.exit(input.id, program.exitCode);
  }

  #forget(podId: string, id: string): void {
    this.machine.pods.get(podId)?.containers.delete(id);
    this.machine.groups.delete(id);
    this.machine.documents.get(podId)?.containers.delete(id);
  }
}

function exitCodeOf(error: unknown): number {
  const told = isBerthError(error, 'START_ERROR') ? error.details['exitCode'] : undefined;
  return typeof told === 'number' ? told : 127;
}
