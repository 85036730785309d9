/** Structured facts of one log line. Never a credential, never image-derived text without a bound. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The logger every function gets through its Ctx. `child` adds fields (requestId, podId) to every later line. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
}

const nothing = (): void => undefined;

/** Says nothing; for tests and for code that runs before the log is up. */
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLogger,
};
