import { randomBytes } from 'node:crypto';
import type { Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import { killExec } from './conversation.ts';
import { execProcess } from './exec-process.ts';
import { OutputPipes } from './output-pipes.ts';
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
/**
 * How long after its time a command that the shim has killed may take to end. One that hangs in the kernel (a dead mount)
 * does not; its place in the shim stays taken until it has.
 */
const graceMs = 1_000;

/** What it said is nobody's: the call fails. */
const timedOut: ExecResult = {
  ...{ stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), truncated: false },
  ...{ exitCode: 137, timedOut: true },
};

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
  // Of whatever ends it before its command does; the first reason stays.
  using life = new Deadline(input.timeoutMs === 0 ? Infinity : input.timeoutMs + graceMs, doing, ctx.signal);
  using starting = new Deadline(input.startTimeoutMs ?? Infinity, `the start of ${doing}`, life.signal);
  let tooMuch: BerthError | undefined;
  const share = parts.outputs.open(podId, (error) => {
    tooMuch = new BerthError(error.code, `${doing}: ${error.message}`);
    pipes[Symbol.dispose]();
    life.abort(tooMuch);
  });
  using pipes = new OutputPipes(parts.addon, input.outputLimit, share);
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
  let pid = 0;
  try {
    const started = await shim.watch.during(connection.firstAnswer(doing, starting.signal));
    pid = started.exec_started?.pid ?? 0;
    const exit = await raceSignal(exited.promise, life.signal);
    if (exit.timed_out) return timedOut;
    await pipes.drained(drainMs);
    if (tooMuch) throw tooMuch;
    return { ...pipes.take(), exitCode: exit.exit_code, timedOut: false };
  } catch (error) {
    // The caller went away, its output is too much, or it did not start: the command's whole tree goes as well.
    if (ctx.signal.aborted || tooMuch || (starting.signal.aborted && !life.signal.aborted))
      await killExec(shim, execId);
    else if (life.signal.aborted && pid !== 0) return { ...timedOut, hangingPid: pid };
    throw error;
  } finally {
    connection.close();
  }
}
