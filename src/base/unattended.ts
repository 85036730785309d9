import type { Logger } from './log.ts';

/** Work that nobody waits for. Its failure is logged, and is nobody else's: no promise is without an owner. */
export function unattended(log: Pick<Logger, 'error'>, what: string, work: Promise<unknown>): void {
  work.catch((err: unknown) => log.error({ err }, `${what} failed`));
}
