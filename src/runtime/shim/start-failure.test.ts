import { constants } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { fromShimError } from './shim-error.ts';
import { ELIBACC } from './start-failure.ts';

const { EACCES, EISDIR, ELOOP, ENOENT, ENOEXEC, ENOTDIR, EXDEV, ETXTBSY } = constants.errno as Record<string, number>;

type Case = readonly [step: string, path: string, errno: number | undefined, sentence: string, exitCode: number];

/** What Kubernetes' users search for is what runc and containerd say; measured with runc 1.5.2. */
const cases: readonly Case[] = [
  ['execve', 'nosuch', ENOENT, 'exec: "nosuch": executable file not found in $PATH (ENOENT)', 127],
  ['execve', '', ENOENT, 'exec: "": executable file not found in $PATH (ENOENT)', 127],
  ['execve', '/nosuch', ENOENT, 'exec: "/nosuch": no such file or directory (ENOENT)', 127],
  ['execve', './x', ENOENT, 'exec: "./x": no such file or directory (ENOENT)', 127],
  ['execve', '/bin/sh/x', ENOTDIR, 'exec: "/bin/sh/x": not a directory (ENOTDIR)', 127],
  ['execve', '/etc', EISDIR, 'exec: "/etc": is a directory (EISDIR)', 126],
  ['execve', '/etc/passwd', EACCES, 'exec: "/etc/passwd": permission denied (EACCES)', 126],
  ['execve', '/data', ENOEXEC, 'exec: "/data": exec format error (ENOEXEC)', 126],
  ['execve', '/loop', ELOOP, 'exec: "/loop": too many levels of symbolic links (ELOOP)', 128],
  ['execve', '/busy', ETXTBSY, 'exec: "/busy": text file busy (ETXTBSY)', 128],
  ['execve', '/a "b"', ENOENT, 'exec: "/a \\"b\\"": no such file or directory (ENOENT)', 127],
  ['chdir', '/closed', EACCES, 'chdir to cwd ("/closed"): permission denied (EACCES)', 126],
  ['chdir', '/proc/self/fd/9', EXDEV, 'chdir to cwd ("/proc/self/fd/9"): it is outside of the container', 128],
];

describe('a command that could not be started', () => {
  test.each(cases)('%s of %j: %d', (step, path, errno = 0, sentence, exitCode) => {
    const error = fromShimError({ kind: 'START', step, path, errno, message: '' }, 'start container c');
    expect(error).toMatchObject({
      code: 'START_ERROR',
      message: `start container c: ${sentence}`,
      details: { exitCode },
    });
  });

  test('whose interpreter is missing: the words for a missing file, and that it is not the file', () => {
    const error = fromShimError({ kind: 'START', step: 'execve', path: 'tool', errno: ELIBACC, message: '' }, 'exec');
    expect(error.message).toMatch(
      /^exec: exec: "tool": no such file or directory: it is there, but not the interpreter/,
    );
    expect(error.details).toMatchObject({ exitCode: 127 });
  });
});

test.each([
  ['mount', ENOENT, 'no such file or directory (ENOENT)'],
  ['mount', ENOTDIR, 'not a directory: one is wanted where there is none, or the other way round (ENOTDIR)'],
  ['cgroup', EACCES, 'permission denied (EACCES)'],
])('what the kernel says at the step %s has its usual words', (step, errno = 0, words) => {
  const error = fromShimError({ kind: 'KERNEL', step, path: '/x', errno, message: '' }, 'create container c');
  expect(error.message).toBe(`create container c: ${step}: /x: ${words}`);
});
