import { spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';

export interface Step {
  readonly command: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/**
 * Runs a command with its output in a log. It dies with us, whatever ends us (PR_SET_PDEATHSIG), and is killed when the
 * signal is aborted; a command that fails is an error.
 */
export async function runStep({ command, env, cwd }: Step, log: WriteStream, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  log.write(`\n==> ${command.join(' ')}\n`);
  // A process group of its own: Ctrl-C is for us.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
    env: { ...process.env, ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  try {
    const code = await new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, by) => resolve(status ?? by ?? 'unknown'));
    });
    signal.throwIfAborted();
    if (code !== 0) throw new Error(`${command.slice(-4).join(' ')} ended with ${code}`);
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

export function openLog(file: string): WriteStream {
  return createWriteStream(file);
}
