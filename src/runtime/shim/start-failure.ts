import { constants } from 'node:os';
import { tellErrno } from '#base/errno-words';

const { EACCES, EISDIR, ENOENT, ENOEXEC, ENOTDIR, EPERM, EXDEV } = constants.errno as typeof constants.errno & {
  readonly EXDEV: number;
};
/** The shim's word for a program that is there, but not what it names as its interpreter or loader. */
export const ELIBACC = 79;

/** Exit codes of a process that could not be started, as shells and every runtime give them. */
export function exitCodeOfErrno(errno: number): number {
  if ([ENOENT, ENOTDIR, ELIBACC].includes(errno)) return 127;
  return [EACCES, EISDIR, ENOEXEC, EPERM].includes(errno) ? 126 : 128;
}

/** Why a command could not be started, in the words that Go programs have for it and that people search for. */
export function startFailure(step: string, path: string, errno: number, name: string): string {
  const what = JSON.stringify(path);
  if (step === 'chdir') {
    const why = errno === EXDEV ? 'it is outside of the container' : tellErrno(name);
    return `chdir to cwd (${what}): ${why}`;
  }
  if (errno === ELIBACC) {
    return `exec: ${what}: no such file or directory: it is there, but not the interpreter or loader that it names`;
  }
  const searched = !path.includes('/') && (errno === ENOENT || errno === ENOTDIR);
  return `exec: ${what}: ${searched ? `executable file not found in $PATH (${name})` : tellErrno(name)}`;
}
