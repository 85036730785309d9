import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { BerthError, errnoOf, toBerthError } from '#base/errors';

/** A program of the machine; nothing is inherited. */
export interface ToolCommand {
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly stdin: string;
  /** Bytes of output that are kept. */
  readonly limit: number;
}

export interface ToolResult {
  readonly code?: number;
  readonly signal?: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs it to its end, or kills it when the context ends. Rejects with ENOENT when there is no such program. */
export type RunTool = (ctx: Ctx, command: ToolCommand) => Promise<ToolResult>;

const directories = ['/usr/sbin', '/usr/bin', '/sbin', '/usr/local/sbin'];
const deadlineMs = 10_000;
const outputLimit = 1024 * 1024;
const shownLimit = 500;

/**
 * Runs a program by its name and gives what it wrote.
 *
 * @throws BerthError UNAVAILABLE when it is not installed, KERNEL when it failed
 */
export async function runNamedTool(
  ctx: Ctx,
  run: RunTool,
  name: string,
  args: readonly string[],
  stdin = '',
): Promise<string> {
  using deadline = new Deadline(deadlineMs, `run ${name}`, ctx.signal);
  for (const directory of directories) {
    const result = await found(
      run(ctx.detach(deadline.signal), {
        path: `${directory}/${name}`,
        argv: [name, ...args],
        env: ['LC_ALL=C', `PATH=${directories.join(':')}`],
        stdin,
        limit: outputLimit,
      }),
      name,
    );
    if (result === undefined) continue;
    if (result.code === 0) return result.stdout;
    const end = result.signal === undefined ? `exit code ${result.code ?? '?'}` : `signal ${result.signal}`;
    const said = result.stderr.trim().slice(0, shownLimit);
    throw new BerthError('KERNEL', `${name} ${args.join(' ')} failed with ${end}: ${said}`);
  }
  throw new BerthError('UNAVAILABLE', `${name} is not installed in ${directories.join(', ')}`);
}

async function found(running: Promise<ToolResult>, name: string): Promise<ToolResult | undefined> {
  try {
    return await running;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw toBerthError(error, `run ${name}`);
  }
}
