import { sleep } from '#base/deadline';
import { BerthError } from '#base/errors';
import { cannotStart, shellCodeOf } from './cannot-run.ts';
import { ExitWith } from './failure.ts';
import { findContainer } from './find.ts';
import type { Session } from './session.ts';
import { converse } from './stream-client.ts';
import { requireTerminal } from './terminal.ts';
import { wholeNumber } from './values.ts';

export interface ExecOptions {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  /** Seconds; "0" for none. */
  readonly timeout: string;
}

/** Ends with the command's exit code. */
export async function execInContainer(
  session: Session,
  word: string,
  cmd: readonly string[],
  options: ExecOptions,
): Promise<void> {
  const timeout = wholeNumber('--timeout', options.timeout, 'seconds (0: none)');
  const { interactive: stdin = false, tty = false } = options;
  if (timeout > 0 && (stdin || tty)) {
    throw new BerthError('INVALID_ARGUMENT', '--timeout is for commands without --interactive and --tty');
  }
  if (tty && !stdin) throw new BerthError('INVALID_ARGUMENT', '--tty needs --interactive: exec -it');
  if (tty) requireTerminal();
  const { id } = await findContainer(session.cri, word);
  const ended = timeout > 0 ? execWithTimeout(session, id, cmd, timeout) : execStreaming(session, id, cmd, stdin, tty);
  const exitCode = await ended.catch((error: unknown) => cannotStart(session, cmd[0] ?? '', shellCodeOf(error), error));
  if (exitCode === undefined) session.note('detached');
  throw new ExitWith(exitCode ?? 0);
}

/** Undefined: the user detached. */
async function execStreaming(
  session: Session,
  id: string,
  cmd: readonly string[],
  stdin: boolean,
  tty: boolean,
): Promise<number | undefined> {
  const request = { container_id: id, cmd: [...cmd], stdin, stdout: true, stderr: !tty, tty };
  const { url } = await session.cri.runtime.exec(request);
  return converse(url, { stdin, tty });
}

/** Only ExecSync kills a command that takes too long. Its output comes at the end. */
async function execWithTimeout(session: Session, id: string, cmd: readonly string[], timeout: number): Promise<number> {
  const reply = await session.cri.runtime.execSync(
    { container_id: id, cmd: [...cmd], timeout: String(timeout) },
    { timeoutMs: timeout * 1000 + 30_000 },
  );
  process.stdout.write(reply.stdout);
  process.stderr.write(reply.stderr);
  return reply.exit_code & 0xff;
}

/** Joins the container's own streams; ends with its exit code if it ends before the user leaves. */
export async function attachToContainer(session: Session, word: string): Promise<void> {
  const { id } = await findContainer(session.cri, word);
  const { runtime } = session.cri;
  const { info } = await runtime.containerStatus({ container_id: id, verbose: true });
  const tty = hasTerminal(info['info'] ?? '');
  const { url } = await runtime.attach({ container_id: id, stdin: true, stdout: true, stderr: !tty, tty });
  // A container with a terminal can be watched without one.
  const exitCode = await converse(url, { stdin: true, tty: tty && process.stdin.isTTY });
  if (exitCode === undefined) {
    session.note('detached');
    return;
  }
  throw new ExitWith((await exitCodeOf(session, id)) ?? exitCode);
}

/** Output ends a moment before the exit is on record. */
const exitPatienceMs = 5_000;
const pollMs = 50;

/** Undefined: it goes on, and only its output has ended. */
async function exitCodeOf({ cri }: Session, id: string): Promise<number | undefined> {
  for (const since = performance.now(); performance.now() - since < exitPatienceMs;) {
    const { status } = await cri.runtime.containerStatus({ container_id: id });
    if (status?.state === 'CONTAINER_EXITED') return status.exit_code & 0xff;
    await sleep(pollMs);
  }
  return undefined;
}

function hasTerminal(info: string): boolean {
  try {
    const { runtimeSpec } = JSON.parse(info) as { runtimeSpec?: { process?: { terminal?: boolean } } };
    return runtimeSpec?.process?.terminal === true;
  } catch {
    return false;
  }
}
