/**
 * What becomes of what a seccomp profile says: it is done; it is refused by name; or it means nothing, here as with
 * everybody. No field of a profile ends nowhere: whatever is not in these tables is told as unknown.
 */
export type Treatment = 'done' | 'refused' | 'no meaning';

export interface Row {
  readonly is: Treatment;
  readonly what: string;
}

const done = (what: string): Row => ({ is: 'done', what });
const refused = (what: string): Row => ({ is: 'refused', what });
const noMeaning = (what: string): Row => ({ is: 'no meaning', what });

/** Fields of the OCI runtime specification's linux.seccomp, and those that Docker's and Podman's profiles have beyond it. */
export const profileFields = {
  defaultAction: done('for what no rule names'),
  defaultErrnoRet: done('the errno of SCMP_ACT_ERRNO, the message of SCMP_ACT_TRACE; EPERM without it'),
  defaultErrno: done("Podman's: the same by name, which counts first"),
  architectures: done('beside the native one'),
  archMap: done("Docker's: the entry of the native architecture; not beside architectures"),
  'archMap[].architecture': done('the one whose entry it is'),
  'archMap[].subArchitectures': done('those that come with it'),
  flags: done('see the flags; SECCOMP_FILTER_FLAG_SPEC_ALLOW where the profile has no list'),
  listenerPath: noMeaning('of SCMP_ACT_NOTIFY, which is refused'),
  listenerMetadata: noMeaning('of SCMP_ACT_NOTIFY, which is refused'),
  syscalls: done('the rules'),
  'syscalls[].names': done('those that neither the kernel nor libseccomp knows are skipped'),
  'syscalls[].name': done("Docker's older word for one name; not beside names"),
  'syscalls[].action': done('see the actions'),
  'syscalls[].errnoRet': done('as defaultErrnoRet'),
  'syscalls[].errno': done('as defaultErrno'),
  'syscalls[].args': done('all must hold; two of one index are alternatives'),
  'syscalls[].args[].index': done('0 to 5'),
  'syscalls[].args[].value': done('64 bits'),
  'syscalls[].args[].valueTwo': done('64 bits: what SCMP_CMP_MASKED_EQ compares with'),
  'syscalls[].args[].op': done('see the operators'),
  'syscalls[].comment': noMeaning('for people'),
  'syscalls[].includes': done("Docker's: the rule counts only where all of it holds"),
  'syscalls[].includes.caps': done("all are in the container's bounding set"),
  'syscalls[].includes.arches': done("the machine's is among them, in Go's words"),
  'syscalls[].includes.minKernel': done("the kernel's release is at least this"),
  'syscalls[].excludes': done("Docker's: the rule does not count where any of it holds"),
  'syscalls[].excludes.caps': done("one is in the container's bounding set"),
  'syscalls[].excludes.arches': done("the machine's is among them"),
  'syscalls[].excludes.minKernel': done("the kernel's release is at least this"),
} as const satisfies Readonly<Record<string, Row>>;

/** Flags of seccomp(2); linux/seccomp.h has their numbers. */
export const profileFlags = {
  SECCOMP_FILTER_FLAG_TSYNC: noMeaning('a container begins as one thread'),
  SECCOMP_FILTER_FLAG_LOG: done('what is not allowed is logged'),
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: done('no mitigation of speculative store bypass for the sake of the filter'),
  SECCOMP_FILTER_FLAG_NEW_LISTENER: refused('it belongs to SCMP_ACT_NOTIFY'),
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: refused('it belongs to SCMP_ACT_NOTIFY'),
} as const satisfies Readonly<Record<string, Row>>;

export const profileActions = {
  SCMP_ACT_KILL: done('ends the thread'),
  SCMP_ACT_KILL_THREAD: done('the same'),
  SCMP_ACT_KILL_PROCESS: done('ends the process'),
  SCMP_ACT_TRAP: done('SIGSYS'),
  SCMP_ACT_ERRNO: done('fails with errnoRet'),
  SCMP_ACT_TRACE: done('asks the tracer; ENOSYS without one'),
  SCMP_ACT_ALLOW: done(''),
  SCMP_ACT_LOG: done('allows, and is logged'),
  SCMP_ACT_NOTIFY: refused('it needs an agent on the node that answers for the container'),
} as const satisfies Readonly<Record<string, Row>>;

export const profileOperators = {
  SCMP_CMP_NE: done(''),
  SCMP_CMP_LT: done(''),
  SCMP_CMP_LE: done(''),
  SCMP_CMP_EQ: done(''),
  SCMP_CMP_GE: done(''),
  SCMP_CMP_GT: done(''),
  SCMP_CMP_MASKED_EQ: done('value is the mask'),
} as const satisfies Readonly<Record<string, Row>>;

/** Those that libseccomp has; one of the other byte order is refused by it. */
export const profileArchitectures: ReadonlySet<string> = new Set(
  [
    ...['X86', 'X86_64', 'X32', 'ARM', 'AARCH64', 'MIPS', 'MIPS64', 'MIPS64N32', 'MIPSEL', 'MIPSEL64', 'MIPSEL64N32'],
    ...['PPC', 'PPC64', 'PPC64LE', 'S390', 'S390X', 'PARISC', 'PARISC64', 'RISCV64'],
  ].map((name) => `SCMP_ARCH_${name}`),
);
