import { Worker } from 'node:worker_threads';
import { BerthError, messageOf } from '#base/errors';
import type { FromWorker, ToWorker } from './messages.ts';

const maxHeapMb = 256;

/** From src/ the worker is TypeScript and needs src/'s meaning of "#base/…"; from build/ it is not and does not. */
const fromSource = import.meta.url.endsWith('.ts');
const workerFile = new URL(fromSource ? './worker.ts' : './worker.js', import.meta.url);
const execArgv = fromSource ? ['--conditions=berth-src'] : [];

/** What of berthd's environment is meant for its requests. */
const environmentNames = /^(https?_proxy|no_proxy|ssl_cert_file|ssl_cert_dir|node_extra_ca_certs|request_method)$/i;

export interface WorkerLinkOptions {
  readonly onMessage: (message: FromWorker) => void;
  /** Once: it died, or was ended. Nothing comes after it. */
  readonly onEnd: (error: BerthError) => void;
}

/** A running worker thread. */
export class WorkerLink {
  readonly #worker: Worker;
  #died: string | undefined;

  constructor({ onMessage, onEnd }: WorkerLinkOptions) {
    this.#worker = new Worker(workerFile, {
      name: 'registry',
      execArgv,
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => environmentNames.test(name))),
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
      // Node would close a second time what the pipes' sockets have closed, and hit another's descriptor.
      trackUnmanagedFds: false,
    });
    this.#worker.on('message', onMessage);
    this.#worker.on('error', (error) => {
      this.#died = messageOf(error);
    });
    this.#worker.once('exit', (code) => {
      const why = this.#died ?? `status ${code}`;
      onEnd(new BerthError('UNAVAILABLE', `the registry worker ended (${why}): try again`));
    });
  }

  /** Whether it keeps the process alive: while it works for somebody. */
  set busy(busy: boolean) {
    if (busy) this.#worker.ref();
    else this.#worker.unref();
  }

  say(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
