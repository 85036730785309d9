/** How a command ended, as its client is told. */
export type Outcome = { readonly exitCode: number } | Failure;

export interface Failure {
  readonly failure: string;
  /** What a shell would end with: of a command that could not be started. */
  readonly shellCode?: number;
}

/**
 * The last message of protocol versions 4 and 5: a `Status` of the Kubernetes API as JSON. A client takes the exit code
 * from the cause named ExitCode.
 */
export function statusJson(outcome: Outcome): string {
  if ('failure' in outcome) {
    const { failure, shellCode } = outcome;
    const status = { metadata: {}, status: 'Failure', message: failure, reason: 'InternalError', code: 500 };
    // Clients that know the reason NonZeroExitCode alone show the message; others would have no code at all.
    return JSON.stringify(shellCode === undefined ? status : { ...status, details: exitCause(shellCode) });
  }
  const { exitCode } = outcome;
  if (exitCode === 0) return JSON.stringify({ metadata: {}, status: 'Success' });
  return JSON.stringify({
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: exitCause(exitCode),
  });
}

function exitCause(exitCode: number): object {
  return { causes: [{ reason: 'ExitCode', message: String(exitCode) }] };
}

/** The same for versions 1 to 3: a sentence when it failed, nothing when it did not. */
export function statusText(outcome: Outcome): string {
  if ('failure' in outcome) return outcome.failure;
  return outcome.exitCode === 0 ? '' : `command terminated with non-zero exit code: ${outcome.exitCode}`;
}
