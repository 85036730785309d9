import type { ContainerEventResponse__Output } from '#cri-api/gen/runtime/v1/ContainerEventResponse';
import type { Berthd } from './berthd.ts';
import { TestPod } from './pods.ts';
import { eventually } from './wait.ts';

/** What GetContainerEvents tells, from the moment on that `listen` resolves. */
export class EventLog implements Disposable {
  readonly #all: ContainerEventResponse__Output[] = [];
  readonly #leave: () => void;

  private constructor(berthd: Berthd) {
    const stream = berthd.cri.rawRuntime.getContainerEvents({});
    stream.on('error', () => undefined);
    stream.on('data', (event: ContainerEventResponse__Output) => this.#all.push(event));
    this.#leave = () => stream.cancel();
  }

  static async listen(berthd: Berthd): Promise<EventLog> {
    const log = new EventLog(berthd);
    // The call has no answer of its own: when a pod made after it is told, everything is.
    await eventually('events are told', async () => {
      const pod = await TestPod.run(berthd);
      await pod.remove();
      return log.#all.length > 0;
    });
    return log;
  }

  /** Of one container or pod, each as "STOPPED SANDBOX_NOTREADY": the event, and the state of the pod right after it. */
  of(id: string): readonly string[] {
    return this.#all
      .filter((event) => event.container_id === id)
      .map((event) => {
        const type = event.container_event_type.replace(/^CONTAINER_|_EVENT$/g, '');
        return `${type} ${event.pod_sandbox_status?.state ?? 'gone'}`;
      });
  }

  [Symbol.dispose](): void {
    this.#leave();
  }
}
