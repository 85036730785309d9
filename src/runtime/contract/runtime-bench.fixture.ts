import { expect } from '@jest/globals';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { randomIds } from '#base/ids';
import type { ContainerInput, PodInput } from '../container-input.ts';
import { containerInput } from '../container-input.fixture.ts';
import type { CreatedContainer, ExitInfo, PodProcess, Runtime, RuntimeEvent } from '../runtime.ts';
import { type ContractProgram, programs } from './programs.fixture.ts';

/** A machine, and a berthd's runtime on it. */
export interface RuntimeMachine {
  /** Another runtime over the same machine: what a berthd that starts anew has. The one before is not closed. */
  open(): Promise<Runtime>;
  /** Below it are the groups of containers. */
  readonly group: string;
  /** What `runPod` needs besides names. */
  pod(): Promise<Pick<PodInput, 'network' | 'netns'>>;
  /** What `createContainer` needs besides names: a root with the programs of the table, where the log goes. */
  container(id: string): Pick<ContainerInput, 'rootfs' | 'logPath'>;
  /** What the container has written to its log, without times. */
  log(id: string): string;
  /** Kill a pod's shim or pause from outside. */
  killShim(pod: PodProcess): void;
  killPause(pod: PodProcess): void;
  /** Until the result is disposed the shim does nothing. */
  stopShim(pod: PodProcess): Disposable;
  /** Makes something listen on that port of the pod, and answer what it is sent. */
  listen(bench: RuntimeBench, container: RunningContainer, port: number): Promise<AsyncDisposable>;
  cleanUp(): Promise<void>;
}

export interface RunningContainer {
  readonly podId: string;
  readonly id: string;
  readonly cgroupPath: string;
  readonly created: CreatedContainer;
  readonly started: boolean;
}

export interface RunningPod extends PodProcess {
  readonly podId: string;
}

export const ctx = createCtx();
/** Of nobody. */
export const nobody = 'f'.repeat(64);
export const [sigkill, sigterm] = [9, 15];

/** Pods and containers for a test, with what the runtime has told since the beginning. */
export class RuntimeBench {
  readonly machine: RuntimeMachine;
  readonly events: RuntimeEvent[] = [];
  runtime: Runtime;
  readonly #pods = new Set<string>();
  readonly #containers = new Map<string, RunningContainer>();

  private constructor(machine: RuntimeMachine, runtime: Runtime) {
    this.machine = machine;
    this.runtime = this.#listenTo(runtime);
  }

  static async open(machine: RuntimeMachine): Promise<RuntimeBench> {
    return new RuntimeBench(machine, await machine.open());
  }

  /** As a berthd that ends, and the next one that has not adopted anything yet. */
  async restart(): Promise<Runtime> {
    await this.runtime.close();
    this.events.length = 0;
    return (this.runtime = this.#listenTo(await this.machine.open()));
  }

  async podInput(changes: Partial<PodInput> = {}): Promise<PodInput> {
    const names = { podId: randomIds.next(), hostname: 'contract', document: 'a pod' };
    const spaces = { ipc: 'pod', uts: 'pod', pid: 'container' } as const;
    return { ...names, ...spaces, sysctls: {}, shmBytes: 1n << 20n, ...(await this.machine.pod()), ...changes };
  }

  async runPod(changes: Partial<PodInput> = {}): Promise<RunningPod> {
    const input = await this.podInput(changes);
    this.#pods.add(input.podId);
    const process = await this.runtime.runPod(ctx, input);
    return { podId: input.podId, ...process };
  }

  containerInput(podId: string, program: ContractProgram, changes: Partial<ContainerInput> = {}): ContainerInput {
    const id = changes.id ?? randomIds.next();
    const { args } = program;
    return containerInput({
      ...{ podId, id, args, cgroupPath: `${this.machine.group}/${id}`, document: () => 'a container' },
      ...this.machine.container(id),
      ...changes,
    });
  }

  async create(
    podId: string,
    program: ContractProgram = programs.sleeps,
    changes: Partial<ContainerInput> = {},
    context: Ctx = ctx,
  ): Promise<RunningContainer> {
    const input = this.containerInput(podId, program, changes);
    const { id, cgroupPath } = input;
    const created = await this.runtime.createContainer(context, input);
    const container = { podId, id, cgroupPath, created, started: false };
    this.#containers.set(id, container);
    return container;
  }

  async run(
    podId: string,
    program: ContractProgram = programs.sleeps,
    changes: Partial<ContainerInput> = {},
  ): Promise<RunningContainer> {
    const container = await this.create(podId, program, changes);
    await this.runtime.startContainer(ctx, podId, container.id);
    if ('stdout' in program.fake && !changes.stdin) {
      await until(() => this.machine.log(container.id) !== '', `container ${container.id} to say something`);
    }
    return { ...container, started: true };
  }

  /** What the runtime told of its end. */
  async exitOf({ id }: Pick<RunningContainer, 'id'>): Promise<ExitInfo> {
    const found = (): ExitInfo | undefined =>
      this.events.find((event) => event.type === 'exit' && event.containerId === id)?.['exit' as never];
    await until(() => found() !== undefined, `the exit of container ${id}`);
    return found() as ExitInfo;
  }

  async told(type: RuntimeEvent['type'], podId: string): Promise<void> {
    await until(() => this.events.some((event) => event.type === type && event.podId === podId), `${type} of ${podId}`);
  }

  /** Kinds of what was told of a pod, in order. */
  toldOf(podId: string): readonly string[] {
    return this.events.filter((event) => event.podId === podId).map(({ type }) => type);
  }

  async stateOf({ podId, id }: Pick<RunningContainer, 'podId' | 'id'>): Promise<string | undefined> {
    return (await this.runtime.containerState(ctx, podId, id))?.state;
  }

  async remove({ podId, id, cgroupPath }: Pick<RunningContainer, 'podId' | 'id' | 'cgroupPath'>): Promise<void> {
    await this.runtime.removeContainer(ctx, podId, id, cgroupPath);
  }

  /** Ends what the test has made. */
  async sweep(): Promise<void> {
    for (const podId of this.#pods) await this.runtime.endPod(ctx, podId);
    for (const container of this.#containers.values()) await this.remove(container);
    this.#pods.clear();
    this.#containers.clear();
  }

  async cleanUp(): Promise<void> {
    await this.sweep();
    await this.runtime.close();
    await this.machine.cleanUp();
  }

  #listenTo(runtime: Runtime): Runtime {
    runtime.onEvent((event) => void this.events.push(event));
    return runtime;
  }
}

export async function until(test: () => boolean | Promise<boolean>, what: string): Promise<void> {
  using patience = new Deadline(8_000, `waiting for ${what}`);
  while (!(await test())) {
    patience.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A caller that has gone. */
export function gone(): Ctx {
  return createCtx({ signal: AbortSignal.abort(new Error('the caller went away')) });
}

export const code = (name: string): unknown => expect.objectContaining({ code: name });
