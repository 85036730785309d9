import type { ExecResult, RuntimeFeatures } from '../runtime.ts';

/** What a machine of the fake can do. */
export const fakeFeatures: RuntimeFeatures = {
  cgroupVersion: 2,
  cgroupDriver: 'cgroupfs',
  controllers: ['cpu', 'memory', 'pids'],
  seccomp: true,
  apparmor: false,
  selinux: false,
  userNamespaces: false,
  recursiveReadOnlyMounts: true,
  rlimits: [{ type: 'RLIMIT_STACK', soft: 8n * 1024n * 1024n, hard: 8n * 1024n * 1024n }],
};

/** What a command gives that nobody described. */
export const fakeExecResult: ExecResult = {
  stdout: Buffer.from('out'),
  stderr: Buffer.from('err'),
  exitCode: 0,
  timedOut: false,
  truncated: false,
};
