import { BerthError } from '#base/errors';
import { pageSize } from '#linux/page-size';

// What execve(2) takes ("Limits on size of arguments and environment"). It is said before anything is made: later the
// kernel says no more than E2BIG.

/** One argument or variable, its closing zero included (MAX_ARG_STRLEN). */
const stringBytes = 32 * pageSize();
/** All of them together: a quarter of the stack's soft limit, within these bounds. */
const mostBytes = 6 * 1024 * 1024;
const leastBytes = 128 * 1024;
const pointerBytes = 8;
/** The soft limit of the stack where none is set. */
const usualStack = 8n * 1024n * 1024n;

export interface Execution {
  /** Latin-1 strings: one character a byte. */
  readonly args: readonly string[];
  /** NAME=value. */
  readonly env: readonly string[];
  readonly rlimits: readonly { readonly type: string; readonly soft: bigint }[];
}

/** @throws INVALID_ARGUMENT for what this kernel will not execute with this environment and stack */
export function checkExecution({ args, env, rlimits }: Execution): void {
  for (const [at, arg] of args.entries()) checkString(arg, `argument ${at} of the command`);
  for (const variable of env) checkString(variable, `environment variable ${nameOf(variable)}`);
  const stack = rlimits.find(({ type }) => type === 'RLIMIT_STACK')?.soft ?? usualStack;
  const limit = Math.max(leastBytes, Math.min(mostBytes, Number(stack / 4n)));
  const bytes = sizeOf(args) + sizeOf(env) + fileSize(args, env);
  if (bytes <= limit) return;
  throw new BerthError(
    'INVALID_ARGUMENT',
    `the command and its environment take ${bytes} bytes, the kernel executes nothing with more than ${limit} ` +
      `(a quarter of the stack's limit): ${args.length} arguments have ${sizeOf(args)}, ${env.length} environment variables ${sizeOf(env)}`,
  );
}

function checkString(text: string, what: string): void {
  // To the kernel it ends the string: half of it would be taken for the whole.
  if (text.includes('\0')) throw new BerthError('INVALID_ARGUMENT', `${what} has a zero byte`);
  if (text.length < stringBytes) return;
  throw new BerthError(
    'INVALID_ARGUMENT',
    `${what} has ${text.length} bytes, the kernel executes nothing with more than ${stringBytes - 1} in one`,
  );
}

const shownName = 64;

function nameOf(variable: string): string {
  const name = variable.slice(0, Math.max(0, variable.indexOf('=')));
  return name.length > shownName ? `${name.slice(0, shownName)}...` : name;
}

/**
 * The path of the program, which the kernel puts beside them. Of a command without a slash it is known only when it is
 * executed: the longest that PATH makes of it.
 */
function fileSize([command = '']: readonly string[], env: readonly string[]): number {
  if (command === '') return 0;
  const searched = command.includes('/')
    ? []
    : (env
        .findLast((line) => line.startsWith('PATH='))
        ?.slice(5)
        .split(':') ?? []);
  return Math.max(0, ...searched.map((directory) => directory.length + 1)) + command.length + 1;
}

/** As the kernel counts: the strings with their closing zeros, and a pointer to each. */
function sizeOf(strings: readonly string[]): number {
  return strings.reduce((sum, text) => sum + text.length + 1 + pointerBytes, 0);
}
