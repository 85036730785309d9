import { isBerthError, messageOf } from '#base/errors';
import { CriError } from '#cri-api/client';
import { ExitWith } from './failure.ts';
import type { Session } from './session.ts';

/** What shells and other container commands end with when there was nothing to run, or it could not be. */
const cannotRun: Readonly<Record<number, string>> = {
  126: 'cannot be executed',
  127: 'is not in the image',
};

/** Ends with the code that a shell would give such a command, and says why; throws what else it was. */
export function cannotStart(session: Session, command: string, code: number | undefined, error: unknown): never {
  const why = code === undefined ? undefined : cannotRun[code];
  if (code === undefined || why === undefined) throw error;
  session.note(`berth: the command ${command} ${why} (${messageOf(error)})`);
  throw new ExitWith(code);
}

/** The code of a command that could not be started, from what was said of it; undefined for everything else. */
export function shellCodeOf(error: unknown): number | undefined {
  if (isBerthError(error, 'START_ERROR')) {
    const { exitCode } = error.details;
    return typeof exitCode === 'number' ? exitCode : undefined;
  }
  if (!(error instanceof CriError)) return undefined;
  // A gRPC status has no room for a code but its sentence.
  const why = /: exec: "(?:[^"\\]|\\.)*": (.*)/.exec(error.details)?.[1];
  if (why === undefined) return undefined;
  if (/^(executable file not found|no such file|not a directory)/.test(why)) return 127;
  return /^(permission denied|is a directory|exec format error|operation not permitted)/.test(why) ? 126 : undefined;
}
