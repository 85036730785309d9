import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { tellErrno } from '#base/errno-words';
import { BerthError, errnoOf, messageOf } from '#base/errors';
import { type ProcessAddon, runProcess } from './run-process.ts';

/** It loads its libraries and ends: milliseconds, unless the disk is very slow. */
const patienceMs = 30_000;
const wordsLimit = 4096;

/**
 * Runs each of our own programs with `--check`, with which it does nothing but end: one that is missing, not executable, of
 * another architecture or without one of its libraries is found now, and not by the first pod or pull.
 *
 * @throws FAILED_PRECONDITION with the program, and the reason in its loader's words
 */
export async function checkHelpers(ctx: Ctx, addon: ProcessAddon, programs: readonly string[]): Promise<void> {
  await Promise.all(programs.map((program) => check(ctx, addon, program)));
}

async function check(ctx: Ctx, addon: ProcessAddon, program: string): Promise<void> {
  using deadline = new Deadline(patienceMs, `${program} --check`, ctx.signal);
  let output;
  try {
    const command = { path: program, argv: [program, '--check'], env: [], limit: wordsLimit };
    output = await runProcess(ctx.detach(deadline.signal), addon, command);
  } catch (error) {
    const errno = errnoOf(error);
    throw useless(program, errno === undefined ? messageOf(error) : tellErrno(errno), error);
  }
  const { code, signal, stderr } = output;
  if (code === 0) return;
  const end = signal === undefined ? `it ends with status ${code}` : `it was killed by signal ${signal}`;
  throw useless(program, [end, stderr.trim()].filter((words) => words !== '').join(': '));
}

function useless(program: string, why: string, cause?: unknown): BerthError {
  const advice = 'install what is missing (make deps), or build it for this machine (make build)';
  return new BerthError('FAILED_PRECONDITION', `${program} cannot be run: ${why}; ${advice}`, { cause });
}
