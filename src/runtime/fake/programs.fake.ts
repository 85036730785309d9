import { constants } from 'node:os';
import { raceSignal } from '#base/deadline';
import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { FakeContainer } from '../machine.fake.ts';
import type { ExecInput, ExecResult } from '../runtime.ts';
import { startFailure } from '../shim/start-failure.ts';
import { FakeExec, type FakeAttachment } from '../streams.fake.ts';

/** What a command does in a container of the fake. */
export interface FakeProgram {
  /** It cannot be executed: the exit code that says why. */
  readonly cannotStart?: 126 | 127;
  /** What it says at once. */
  readonly stdout?: string;
  readonly stderr?: string;
  /** Its output is its input. */
  readonly echoes?: true;
  /** It waits for the end of its input. */
  readonly reads?: true;
  /** How it ends by itself: at once, or at the end of its input if it reads or echoes. Missing: it does not. */
  readonly exitCode?: number;
  /** What it does at SIGTERM: ends with that code, or nothing. Missing: it leaves that to the kernel. */
  readonly onTerm?: number | 'ignored';
  /** It is killed for the memory that it takes. */
  readonly outOfMemory?: true;
}

/** @throws START_ERROR for a program that cannot be executed */
export function checkStart(program: FakeProgram | undefined, args: readonly string[], doing: string): void {
  if (program?.cannotStart === undefined) return;
  const errno = program.cannotStart === 127 ? 'ENOENT' : 'EACCES';
  const why = startFailure('execve', args[0] ?? '', constants.errno[errno], errno);
  throw new BerthError('START_ERROR', `${doing}: ${why}`, {
    details: { exitCode: program.cannotStart },
  });
}

/** Plays a command that was started in a container. */
export function playExec(exec: FakeExec, program: FakeProgram): void {
  exec.stdout?.write(program.stdout ?? '');
  exec.stderr?.write(program.stderr ?? '');
  const { exitCode } = program;
  const end = (): void => {
    if (exitCode !== undefined) exec.exit(exitCode);
  };
  if (!takesInput(program) || !exec.stdin) {
    end();
    return;
  }
  giveBack(program, exec);
  exec.stdin.once('end', end);
}

/** Plays the first process to who is attached. @param end is called when its input has ended */
export function playAttached(attachment: FakeAttachment, container: FakeContainer, end: () => void): void {
  const { program, input } = container;
  const { stdin } = attachment;
  if (!program || !takesInput(program) || !stdin || !input.stdin) return;
  giveBack(program, attachment);
  if (!input.stdinOnce) return;
  stdin.once('end', end);
  // Who leaves has nothing more to say.
  stdin.once('close', end);
}

function giveBack({ echoes }: FakeProgram, { stdin, stdout }: FakeExec | FakeAttachment): void {
  stdin?.on('data', (chunk: Buffer) => {
    if (echoes) stdout?.write(chunk);
  });
}

/** Whether it goes on until its input ends. */
export function takesInput({ echoes, reads }: FakeProgram): boolean {
  return echoes === true || reads === true;
}

/** As Runtime.execSync, for a command that has been started. */
export async function runToEnd(
  ctx: Ctx,
  container: FakeContainer,
  program: FakeProgram,
  input: ExecInput,
  ended: Promise<never>,
): Promise<ExecResult> {
  const streams = { stdin: false, stdout: true, stderr: true, tty: false };
  const exec = new FakeExec(container.input.id, { ...streams, args: input.args, spec: input.spec });
  const { exited } = exec.handle();
  container.conversations.add(exec);
  let timedOut = false;
  const timer =
    input.timeoutMs === 0
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          exec.exit(137);
        }, input.timeoutMs);
  try {
    playExec(exec, program);
    const { exitCode } = await raceSignal(Promise.race([exited, ended]), ctx.signal);
    const { stdout = '', stderr = '' } = timedOut ? {} : program;
    const said = { stdout: Buffer.from(stdout), stderr: Buffer.from(stderr) };
    return withinLimit({ ...said, exitCode, timedOut, truncated: false }, input.outputLimit);
  } finally {
    clearTimeout(timer);
    exec.dispose();
    container.conversations.delete(exec);
  }
}

/** Both outputs share the limit. */
export function withinLimit(result: ExecResult, limit: number): ExecResult {
  const stdout = result.stdout.subarray(0, limit);
  const stderr = result.stderr.subarray(0, limit - stdout.length);
  const cut = stdout.length + stderr.length < result.stdout.length + result.stderr.length;
  return { ...result, stdout, stderr, truncated: result.truncated || cut };
}
