import { Socket } from 'node:net';
import { sleep } from '#base/deadline';
import { GatheredBytes } from '#base/gathered-bytes';
import { Fd } from '#linux/fd';
import type { OutputShare } from './output-budget.ts';
import type { RuntimeParts } from './runtime-parts.ts';

/** The two output pipes of a command: bounded together, the rest read and dropped so that the command never blocks. */
export class OutputPipes implements Disposable {
  readonly #limit: number;
  readonly #share: OutputShare;
  readonly #writeEnds: Fd[] = [];
  readonly #sockets: Socket[] = [];
  readonly #outputs = [new GatheredBytes(), new GatheredBytes()] as const;
  readonly #closed: Promise<void>[] = [];
  #truncated = false;

  /** @param share is owned from now on */
  constructor(addon: RuntimeParts['addon'], limit: number, share: OutputShare) {
    this.#limit = limit;
    this.#share = share;
    try {
      for (const output of this.#outputs) this.#open(addon, output);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  writeEnds(): number[] {
    return this.#writeEnds.map((fd) => fd.number);
  }

  /** The shim has them now: without this we would never see the end of the output. */
  closeWriteEnds(): void {
    for (const fd of this.#writeEnds) fd[Symbol.dispose]();
  }

  async drained(ms: number): Promise<void> {
    await Promise.race([Promise.all(this.#closed), sleep(ms)]);
  }

  take(): { stdout: Buffer; stderr: Buffer; truncated: boolean } {
    const [stdout, stderr] = this.#outputs;
    return { stdout: stdout.toBuffer(), stderr: stderr.toBuffer(), truncated: this.#truncated };
  }

  /** Nobody wants the output: what has come is let go, and nothing more is read. */
  [Symbol.dispose](): void {
    this.closeWriteEnds();
    for (const socket of this.#sockets) socket.destroy();
    for (const output of this.#outputs) output.clear();
    this.#share[Symbol.dispose]();
  }

  #open(addon: RuntimeParts['addon'], output: GatheredBytes): void {
    const { read, write } = addon.pipe();
    this.#writeEnds.push(new Fd(write, (fd) => addon.close(fd)));
    const socket = new Socket({ fd: read, readable: true, writable: false });
    this.#sockets.push(socket);
    this.#closed.push(new Promise((resolve) => socket.once('close', () => resolve())));
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => this.#keep(output, chunk));
  }

  #keep(output: GatheredBytes, chunk: Buffer): void {
    const [stdout, stderr] = this.#outputs;
    const room = this.#limit - stdout.length - stderr.length;
    if (chunk.length > room) this.#truncated = true;
    if (room <= 0) return;
    output.append(chunk.subarray(0, room));
    this.#share.holds(stdout.held + stderr.held);
  }
}
