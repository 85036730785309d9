import { spawn } from 'node:child_process';

export interface CommandResult {
  /** 128 + n when it ended by a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly input?: string;
}

const signalNumbers: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** Runs a command to its end and gives what it said; one that takes too long is killed and is an error. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file = '', ...args] = argv;
  const { timeoutMs = 60_000, env = process.env, cwd, input = '' } = options;
  const started = performance.now();
  const child = spawn(file, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => resolve(status ?? 128 + (signalNumbers[signal ?? ''] ?? 0)));
    });
    if (late) throw new Error(`${argv.join(' ')} did not end in ${timeoutMs} ms\n${stdout}${stderr}`);
    return { code, stdout, stderr, ms: performance.now() - started };
  } finally {
    clearTimeout(timer);
  }
}

/** As `run`, but a failing command is an error; gives its standard output. */
export async function output(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.code !== 0) {
    throw new Error(`${argv.join(' ')} ended with ${result.code}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}
