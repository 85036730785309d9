import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import type { Ctx } from '#base/ctx';
import { raceSignal, sleep } from '#base/deadline';
import { BerthError } from '#base/errors';
import { GatheredBytes } from '#base/gathered-bytes';
import { Fd } from '#linux/fd';
import { killExec } from './conversation.ts';
import { execProcess } from './exec-process.ts';
import type { ExecInput, ExecResult } from './runtime.ts';
import { type RuntimeParts, shimOf } from './runtime-parts.ts';
import { encodeFrame, frameType } from './shim/frame.ts';
import type { ExecExited__Output } from './shim/gen/berth/shim/ExecExited.ts';
import { encodeRequest } from './shim/protocol.ts';
import { firstStream, ShimConnection } from './shim/shim-connection.ts';

/**
 * How long output may still come after the command's own process has ended: a child it left behind (`sleep 1000 &`) may
 * hold the pipe for ever (CVE-2026-53495).
 */
const drainMs = 500;

/** Runs a command in a container to its end and gives what it printed. */
export async function execSync(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
  containerId: string,
  input: ExecInput,
): Promise<ExecResult> {
  const shim = shimOf(parts, podId);
  const doing = `exec in container ${containerId}`;
  const process = await execProcess(parts, input.spec, input.args);
  using _place = shim.places.take('probe', shim.features, doing);
  using pipes = new OutputPipes(parts, input.outputLimit);
  const execId = randomBytes(8).toString('hex');
  const message = encodeRequest({
    exec: { container_id: containerId, exec_id: execId, process, timeout_ms: input.timeoutMs, probe: true },
  });
  const exited = Promise.withResolvers<ExecExited__Output>();
  exited.promise.catch(() => undefined);
  const frame = encodeFrame(frameType.request, firstStream, message, shim.requestLimit);
  const socket = parts.launcher.connectWith(podId, shim.directory, frame, [
    parts.launcher.devNull,
    ...pipes.writeEnds(),
  ]);
  pipes.closeWriteEnds();
  const connection = new ShimConnection({
    socket,
    podId,
    onEvent: (event) => {
      if (event.exec_exited) exited.resolve(event.exec_exited);
    },
    onClose: () => exited.reject(new BerthError('SHIM_DIED', `${doing}: the shim of pod ${podId} is gone`)),
  });
  try {
    await shim.watch.during(connection.firstAnswer(doing, ctx.signal));
    const exit = await raceSignal(exited.promise, ctx.signal);
    await pipes.drained(drainMs);
    return { ...pipes.take(), exitCode: exit.exit_code, timedOut: exit.timed_out };
  } catch (error) {
    // The caller went away or its time is over: the command's whole tree goes as well.
    if (ctx.signal.aborted) await killExec(shim, execId);
    throw error;
  } finally {
    connection.close();
  }
}

/** The two output pipes of a command: bounded together, the rest read and dropped so that the command never blocks. */
class OutputPipes implements Disposable {
  readonly #limit: number;
  readonly #writeEnds: Fd[] = [];
  readonly #sockets: Socket[] = [];
  readonly #outputs = [new GatheredBytes(), new GatheredBytes()] as const;
  readonly #closed: Promise<void>[] = [];
  #truncated = false;

  constructor(parts: RuntimeParts, limit: number) {
    this.#limit = limit;
    for (const output of this.#outputs) {
      const { read, write } = parts.addon.pipe();
      this.#writeEnds.push(new Fd(write, (fd) => parts.addon.close(fd)));
      const socket = new Socket({ fd: read, readable: true, writable: false });
      this.#sockets.push(socket);
      this.#closed.push(new Promise((resolve) => socket.once('close', () => resolve())));
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => this.#keep(output, chunk));
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

  [Symbol.dispose](): void {
    this.closeWriteEnds();
    for (const socket of this.#sockets) socket.destroy();
  }

  #keep(output: GatheredBytes, chunk: Buffer): void {
    const room = this.#limit - this.#outputs[0].length - this.#outputs[1].length;
    if (chunk.length > room) this.#truncated = true;
    if (room > 0) output.append(chunk.subarray(0, room));
  }
}
