import type { FakeProgram } from '../fake/programs.fake.ts';

/** A command, for a real container and for one that a fake plays. */
export interface ContractProgram {
  /** Of a root that is busybox. */
  readonly args: readonly string[];
  readonly fake: FakeProgram;
}

const shell = (script: string, fake: FakeProgram): ContractProgram => ({ args: ['/bin/sh', '-c', script], fake });

/** Everything that the suites of the runtime run. */
export const programs = {
  /** Runs until it is killed. */
  sleeps: { args: ['/bin/sleep', '1000'], fake: {} },
  /** Ends with 3 at SIGTERM, and says when it is ready for it. */
  heeds: shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done", {
    stdout: 'ready\n',
    onTerm: 3,
  }),
  /** Lives through SIGTERM, and says when it does. */
  ignores: shell("trap '' TERM; echo ready; while :; do sleep 0.02; done", { stdout: 'ready\n', onTerm: 'ignored' }),
  /** Runs until its input ends, then ends with 7. */
  reads: shell('cat >/dev/null; exit 7', { reads: true, exitCode: 7 }),
  ends: shell('exit 7', { exitCode: 7 }),
  speaks: shell('echo out; echo err >&2; exit 3', { stdout: 'out\n', stderr: 'err\n', exitCode: 3 }),
  /** A thousand bytes. */
  floods: shell('head -c 1000 /dev/zero | tr "\\0" x', { stdout: 'x'.repeat(1000), exitCode: 0 }),
  starts: shell('echo begun; sleep 1000', { stdout: 'begun\n' }),
  echoes: { args: ['/bin/cat'], fake: { echoes: true, exitCode: 0 } },
  /** More than it may have, by far. */
  swells: shell('head -c 200000000 /dev/zero | tail', { outOfMemory: true }),
  missing: { args: ['/no/such/program'], fake: { cannotStart: 127 } },
  noProgram: { args: ['/etc/notes'], fake: { cannotStart: 126 } },
} satisfies Readonly<Record<string, ContractProgram>>;

/** How a fake plays a command of that table. */
export function playOf(args: readonly string[]): FakeProgram | undefined {
  const words = args.join(' ');
  return Object.values<ContractProgram>(programs).find((one) => one.args.join(' ') === words)?.fake;
}
