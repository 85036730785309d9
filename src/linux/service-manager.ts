import type { Addon } from './addon.ts';

export interface ServiceManagerOptions {
  readonly addon: Pick<Addon, 'sendDatagram'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told of what could not be said. */
  readonly onFailure: (error: unknown) => void;
  /** CLOCK_MONOTONIC, as systemd compares it with its own. */
  readonly monotonicUs: () => bigint;
}

/** What systemd is told of a service of Type=notify or notify-reload: sd_notify(3). Without systemd nothing is said. */
export class ServiceManager implements Disposable {
  readonly #options: ServiceManagerOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ServiceManagerOptions) {
    this.#options = options;
  }

  /** Calls are answered. From now on the watchdog hears from the event loop: one that stands still is started anew. */
  ready(): Promise<void> {
    this.#watch();
    return this.#say('READY=1\nSTATUS=serving');
  }

  reloading(): Promise<void> {
    return this.#say(`RELOADING=1\nMONOTONIC_USEC=${this.#options.monotonicUs()}`);
  }

  reloaded(status: string): Promise<void> {
    return this.#say(`READY=1\nSTATUS=${status.replaceAll('\n', ' ')}`);
  }

  stopping(): Promise<void> {
    return this.#say('STOPPING=1');
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #watch(): void {
    const { WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = this.#options.env;
    const ms = Number(usec) / 1000;
    if (!(ms > 0) || (pid !== undefined && Number(pid) !== process.pid)) return;
    const alive = (): void => {
      this.#say('WATCHDOG=1').catch(this.#options.onFailure);
    };
    this.#timer ??= setInterval(alive, ms / 2);
    this.#timer.unref();
  }

  async #say(text: string): Promise<void> {
    const address = this.#options.env['NOTIFY_SOCKET'];
    if (address === undefined || address === '') return;
    try {
      await this.#options.addon.sendDatagram(address, text);
    } catch (error) {
      this.#options.onFailure(error);
    }
  }
}
