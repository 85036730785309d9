import { constants } from 'node:os';
import { BerthError } from '#base/errors';
import { tellErrno } from '#base/errno-words';
import type { ErrorCode } from '#base/error-codes';
import type { Error__Output } from './gen/berth/shim/Error.ts';
import { exitCodeOfErrno, startFailure } from './start-failure.ts';

const errnoNames = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

/** The errno's name, or E<number> for one Node does not know. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `E${errno}`;
}

/** Steps that take a path of the request's, and what the kernel says of one that cannot be. */
const stepsOfPaths = new Set(['mount', 'mkdir', 'mknod', 'device', 'volume', 'open_tree', 'mask', 'readonly', 'log']);
const { EEXIST, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, ERANGE, EROFS } = constants.errno;
const faultsOfPaths = new Map([
  [EEXIST, 'file exists: something else lies there'],
  [EISDIR, 'it is a directory'],
  [ELOOP, 'too many levels of symbolic links: they lead in a circle, or to a descriptor below /proc'],
  [ENAMETOOLONG, 'file name too long'],
  [ENOENT, 'no such file or directory'],
  [ENOTDIR, 'not a directory: one is wanted where there is none, or the other way round'],
  [EROFS, 'it would have to be made on a read-only file system'],
]);

/** The value of a sysctl is the request's; its name was checked, but for whether this kernel has it. */
const faultsOfSysctls = new Map([
  [EINVAL, 'the kernel does not take that value'],
  [ERANGE, 'the kernel does not take that value'],
  [ENOENT, 'this kernel does not have it'],
]);

/** A profile is loaded by the node's owner, not by us. */
const faultsOfAppArmor = new Map([
  [ENOENT, 'this profile is not loaded on the node'],
  [ENAMETOOLONG, 'no profile has so long a name'],
]);

/** Why it is the caller's mistake; undefined when it is not. */
function faultOfRequest({ kind, step, errno }: Error__Output): string | undefined {
  if (kind !== 'KERNEL') return undefined;
  if (step === 'sysctl') return faultsOfSysctls.get(errno);
  if (step === 'apparmor') return faultsOfAppArmor.get(errno);
  return stepsOfPaths.has(step) ? faultsOfPaths.get(errno) : undefined;
}

/** A shim's refusal in Berth's words. */
export function fromShimError(error: Error__Output, doing: string): BerthError {
  const errno = error.errno === 0 ? '' : errnoName(error.errno);
  const details = {
    step: error.step,
    path: error.path,
    errno,
    ...(error.kind === 'START' ? { exitCode: exitCodeOfErrno(error.errno) } : {}),
  };
  return new BerthError(codeOf(error), `${doing}: ${sentenceOf(error, errno)}`, { details });
}

function sentenceOf(error: Error__Output, errno: string): string {
  const { kind, step, path, message } = error;
  if (kind === 'START' && message === '') return startFailure(step, path, error.errno, errno);
  const fault = faultOfRequest(error);
  const why = fault === undefined ? message || tellErrno(errno) : `${fault} (${errno})`;
  return [step, path, why].filter((part) => part !== '').join(': ');
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
    case 'REQUEST':
      return 'INVALID_ARGUMENT';
    case 'IMAGE':
      return 'IMAGE_INVALID';
    case 'KERNEL':
      return codeOfErrno(error);
    default:
      return 'INTERNAL';
  }
}

function codeOfErrno(error: Error__Output): ErrorCode {
  if (error.errno === ENOSPC) return 'RESOURCE_EXHAUSTED';
  if (faultOfRequest(error) === undefined) return 'KERNEL';
  if (error.step === 'apparmor' && error.errno === ENOENT) return 'FAILED_PRECONDITION';
  return error.errno === ENOENT && error.step !== 'sysctl' ? 'NOT_FOUND' : 'INVALID_ARGUMENT';
}
