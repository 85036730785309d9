import { readFileSync } from 'node:fs';
import { sleep } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { Session } from './session.ts';
import { wholeNumber } from './values.ts';

export interface ShutdownOptions {
  readonly removeAll?: boolean;
  /** Seconds. */
  readonly timeout: string;
}

const firstWordMs = 1_000;
const nextWordMs = 5_000;
const pollMs = 50;

/** Ends berthd and waits until its process has gone; with removeAll the pods go first, and every trace of them. */
export async function shutdown(session: Session, options: ShutdownOptions): Promise<void> {
  const timeoutMs = wholeNumber('--timeout', options.timeout, 'seconds', 1) * 1000;
  const removeAll = options.removeAll === true;
  using telling = new Telling(session, removeAll ? 'stopping and removing every pod' : 'waiting for berthd’s answer');
  const { pid } = await session.admin.call('POST', '/shutdown', { removeAll });
  const left = removeAll ? 'every pod, its network and its control groups were removed' : 'pods go on';
  if (typeof pid !== 'number') {
    // Of an earlier version: it does not say who it is.
    session.print(`berthd ends; ${left}`);
    return;
  }
  const identity = startOf(pid);
  telling.say(`waiting for berthd (pid ${pid}) to end its calls`);
  const since = performance.now();
  while (identity !== undefined && startOf(pid) === identity) {
    if (performance.now() - since > timeoutMs) {
      throw new BerthError(
        'DEADLINE_EXCEEDED',
        `berthd (pid ${pid}) has not ended in ${options.timeout} s: its log says what it waits for; ` +
          `wait longer (--timeout), or kill -KILL ${pid}: pods and their records survive that`,
      );
    }
    await sleep(pollMs);
  }
  session.print(`berthd (pid ${pid}) has ended; ${left}`);
}

/** When a process began, which tells it from a later one of its number; undefined for none, and for one that is only dead. */
export function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name is in parentheses and may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Says what is waited for when that takes a while, and again from time to time. */
class Telling implements Disposable {
  readonly #session: Session;
  readonly #since = performance.now();
  #what: string;
  #timer: NodeJS.Timeout;

  constructor(session: Session, what: string) {
    this.#session = session;
    this.#what = what;
    this.#timer = setTimeout(() => this.#tell(), firstWordMs);
  }

  say(what: string): void {
    this.#what = what;
  }

  #tell(): void {
    const seconds = Math.round((performance.now() - this.#since) / 1000);
    this.#session.note(`berth: ${this.#what} (${seconds} s)`);
    this.#timer = setTimeout(() => this.#tell(), nextWordMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
