import { errnoOf, isBerthError, messageOf } from '#base/errors';
import { CriError } from '#cri-api/client';
import { shown } from './values.ts';

/** What berth says when a command fails, and the exit code it ends with. */
export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

/** 125, as with other container commands: berth itself failed, not the container. */
export const ownFailure = 125;

/** Ends a command with a code without saying anything more. */
export class ExitWith extends Error {
  override readonly name = 'ExitWith';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

export function explain(error: unknown, socket: string): Failure {
  if (error instanceof ExitWith) return { text: '', exitCode: error.exitCode };
  const [what, advice] = sentences(error, socket);
  return { text: `berth: ${bounded(what)}${advice === '' ? '' : `\n  ${bounded(advice)}`}`, exitCode: ownFailure };
}

/** What somebody typed may be of any length; the sentence around it shall be read. */
function bounded(text: string): string {
  return text.replaceAll(/\S{400,}/g, shown);
}

function sentences(error: unknown, socket: string): readonly [what: string, advice: string] {
  if (error instanceof CriError) {
    if (error.status === 'UNAVAILABLE' && /no connection|connect|ENOENT|ECONNREFUSED|EACCES/i.test(error.details)) {
      return [`cannot reach berthd at ${socket}`, startAdvice(socket)];
    }
    return [error.details || error.status, criAdvice(error)];
  }
  if (isBerthError(error, 'UNAVAILABLE') && error.details['socket'] !== undefined) {
    return [error.message, startAdvice(socket)];
  }
  if (isBerthError(error)) return [error.message, ''];
  // The system refused something: where in berth is no help to anybody.
  if (errnoOf(error) !== undefined) return [messageOf(error), ''];
  return [messageOf(error), error instanceof Error ? (error.stack ?? '') : ''];
}

function startAdvice(socket: string): string {
  return (
    `is it running? start it: systemctl start berthd, or deploy/berthd, or make run; ` +
    `or name its socket: --socket or BERTH_SOCKET (now ${socket})`
  );
}

function criAdvice(error: CriError): string {
  switch (error.status) {
    case 'UNAVAILABLE':
      return 'berthd is starting or stopping: try again';
    case 'DEADLINE_EXCEEDED':
      return 'berthd did not answer in time; its log says at which step';
    case 'NOT_FOUND':
      return error.method.toLowerCase().includes('image')
        ? 'berth images lists what is there'
        : 'berth ps -a lists what is there';
    default:
      return '';
  }
}
