import { constants } from 'node:os';
import { BerthError } from '#base/errors';
import type { ErrorCode } from '#base/error-codes';
import type { Error__Output } from './gen/berth/shim/Error.ts';

const errnoNames = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

/** The errno's name, or E<number> for one Node does not know. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `E${errno}`;
}

/** Exit codes of a process that could not be started, as shells and every runtime give them. */
export function exitCodeOfErrno(errno: number): number {
  if (errno === constants.errno.ENOENT || errno === constants.errno.ENOTDIR) return 127;
  if (errno === constants.errno.EACCES || errno === constants.errno.ENOEXEC || errno === constants.errno.EPERM)
    return 126;
  return 128;
}

/** A shim's refusal in Berth's words. */
export function fromShimError(error: Error__Output, doing: string): BerthError {
  const errno = error.errno === 0 ? '' : errnoName(error.errno);
  const parts = [doing, error.step, error.path, error.message || errno].filter((part) => part !== '');
  const details = {
    step: error.step,
    path: error.path,
    errno,
    ...(error.kind === 'START' ? { exitCode: exitCodeOfErrno(error.errno) } : {}),
  };
  return new BerthError(codeOf(error), parts.join(': '), { details });
}

function codeOf(error: Error__Output): ErrorCode {
  switch (error.kind) {
    case 'NOT_FOUND':
      return 'NOT_FOUND';
    case 'STATE':
      return 'FAILED_PRECONDITION';
    case 'UNRESPONSIVE':
      return 'PATH_UNRESPONSIVE';
    case 'UNSUPPORTED':
      return 'UNIMPLEMENTED';
    case 'START':
      return 'START_ERROR';
    case 'LIMIT':
      return 'RESOURCE_EXHAUSTED';
    case 'BAD_MESSAGE':
      return 'INTERNAL';
    case 'KERNEL':
      return error.errno === constants.errno.ENOSPC ? 'RESOURCE_EXHAUSTED' : 'KERNEL';
    default:
      return 'INTERNAL';
  }
}
