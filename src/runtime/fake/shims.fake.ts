import type { Ctx } from '#base/ctx';
import { raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { FakeContainer, FakeMachine, FakePod } from '../machine.fake.ts';
import type {
  AdoptedContainer,
  AdoptedPod,
  AnsweredPod,
  ExitInfo,
  KnownContainer,
  LostPod,
  RuntimeEvent,
} from '../runtime.ts';

/** The shims that one berthd is connected to: those that it started or has adopted. */
export class FakeShims {
  readonly #machine: FakeMachine;
  readonly #tell: (event: RuntimeEvent) => void;
  readonly #connected = new Set<string>();

  constructor(machine: FakeMachine, tell: (event: RuntimeEvent) => void) {
    this.#machine = machine;
    this.#tell = tell;
  }

  connect(podId: string): void {
    const pod = this.#machine.pods.get(podId);
    if (pod) pod.tell = this.#tell;
    this.#connected.add(podId);
  }

  /** They tell nothing more. */
  close(): void {
    for (const podId of this.#connected) {
      const pod = this.#machine.pods.get(podId);
      if (pod?.tell === this.#tell) pod.tell = () => undefined;
    }
    this.#connected.clear();
  }

  find(podId: string): FakePod | undefined {
    return this.#connected.has(podId) ? this.#machine.pods.get(podId) : undefined;
  }

  /** @throws SHIM_DIED */
  pod(podId: string): FakePod {
    const pod = this.find(podId);
    if (!pod) throw new BerthError('SHIM_DIED', `pod ${podId} has no shim: it is not running`);
    return pod;
  }

  /** @throws SHIM_DIED, NOT_FOUND */
  container(podId: string, id: string): FakeContainer {
    const container = this.pod(podId).containers.get(id);
    if (!container) throw new BerthError('NOT_FOUND', `no container ${id}`);
    return container;
  }

  /** @throws SHIM_DIED, NOT_FOUND, FAILED_PRECONDITION */
  running(podId: string, id: string): FakeContainer {
    const container = this.container(podId, id);
    if (container.state !== 'running') throw new BerthError('FAILED_PRECONDITION', `container ${id} is not running`);
    return container;
  }

  /** @throws SHIM_DIED when what holds the namespaces has died */
  livingPause(podId: string): void {
    if (this.pod(podId).process.pausePid > 0) return;
    throw new BerthError('SHIM_DIED', `pod ${podId} is not running: what held its network has died`);
  }

  /** One that is stopped answers when it goes on. */
  async answer(ctx: Ctx, podId: string): Promise<void> {
    ctx.signal.throwIfAborted();
    const stopped = this.#machine.stopped.get(podId);
    if (stopped) await raceSignal(stopped.promise, ctx.signal);
  }

  /** A line for each that does not answer. */
  silent(): readonly string[] {
    const { stopped } = this.#machine;
    return [...this.#connected].filter((podId) => stopped.has(podId)).map((podId) => `the shim of pod ${podId} hangs`);
  }

  adopt(podId: string, known: readonly KnownContainer[]): AdoptedPod {
    const { pods, groups, stopped } = this.#machine;
    const silent = stopped.get(podId)?.promise;
    if (silent === undefined) return this.#adopt(podId, known);
    const busy = new Set(known.map(({ id }) => id).filter((id) => groups.get(id)?.living));
    const shimPid = pods.get(podId)?.process.shimPid ?? 0;
    const unreachable = this.#machine.unreachable.has(podId);
    return { podId, shim: 'silent', shimPid, unreachable, busy, later: silent.then(() => this.#adopt(podId, known)) };
  }

  #adopt(podId: string, known: readonly KnownContainer[]): AnsweredPod | LostPod {
    const { pods, groups, lost } = this.#machine;
    const pod = pods.get(podId);
    if (pod) {
      this.connect(podId);
      return { podId, shim: 'answers', process: pod.process, containers: [...pod.containers.values()].map(toAdopted) };
    }
    for (const { id } of known) {
      const group = groups.get(id);
      if (group) group.living = false;
    }
    return { podId, shim: 'dead', reason: 'nobody listens', exits: lost.get(podId) ?? new Map<string, ExitInfo>() };
  }
}

export function toAdopted({ input, state, pid, startedAtNs, exit, logBytesDropped }: FakeContainer): AdoptedContainer {
  const lost = logBytesDropped === undefined ? {} : { logBytesDropped };
  return { id: input.id, state, pid: exit ? 0 : pid, startedAtNs, ...(exit ? { exit } : {}), ...lost };
}
