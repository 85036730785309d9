import { constants } from 'node:os';
import { BerthError } from '#base/errors';
import type { SeccompInput, SeccompRule } from '#linux/addon';
import type { OciSeccomp, OciSyscall } from '#runtime/spec/oci';
import {
  afVsock,
  allowedByArchitecture,
  allowedByCapability,
  allowedPersonalities,
  alwaysAllowed,
  cloneNamespaceFlags,
} from './default-profile.ts';

const allow = 'SCMP_ACT_ALLOW';
/** Of a profile that has no list of its own, as runc has it: since 5.16 it is what the kernel does without a flag, too. */
export const usualFlags: readonly string[] = ['SECCOMP_FILTER_FLAG_SPEC_ALLOW'];
const plain = (names: readonly string[]): OciSyscall => ({ names, action: allow, args: [] });

/** RuntimeDefault for a process with these capabilities, as an OCI profile. */
export function defaultProfile(capabilities: ReadonlySet<string>, architectures: readonly string[]): OciSeccomp {
  const opened = Object.entries(allowedByCapability)
    .filter(([capability]) => capabilities.has(capability))
    .flatMap(([, names]) => names);
  const ofArchitectures = architectures.flatMap((name) => allowedByArchitecture[name] ?? []);
  const syscalls: OciSyscall[] = [plain([...alwaysAllowed, ...ofArchitectures])];
  if (opened.length > 0) syscalls.push(plain([...new Set(opened)]));
  if (!capabilities.has('CAP_SYS_ADMIN')) {
    // clone without a new namespace; clone3 hides its flags in memory, so libc must be told to use clone.
    syscalls.push({
      names: ['clone'],
      action: allow,
      args: [{ index: 0, value: cloneNamespaceFlags, valueTwo: 0n, op: 'SCMP_CMP_MASKED_EQ' }],
    });
    syscalls.push({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: constants.errno.ENOSYS, args: [] });
  }
  for (const value of allowedPersonalities) {
    syscalls.push({
      names: ['personality'],
      action: allow,
      args: [{ index: 0, value, valueTwo: 0n, op: 'SCMP_CMP_EQ' }],
    });
  }
  syscalls.push({
    names: ['socket'],
    action: allow,
    args: [{ index: 0, value: afVsock, valueTwo: 0n, op: 'SCMP_CMP_NE' }],
  });
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: constants.errno.EPERM,
    architectures,
    flags: usualFlags,
    syscalls,
  };
}

/** The architectures a process of this machine may use: the native one and its 32-bit kin. */
export function nativeArchitectures(arch: string): readonly string[] {
  switch (arch) {
    case 'x64':
      return ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'];
    case 'arm64':
      return ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'];
    default:
      return [];
  }
}

// libseccomp's SCMP_ACT_* and SCMP_CMP_* values (seccomp.h).
const actions: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0x00000000,
  SCMP_ACT_KILL_THREAD: 0x00000000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};

const comparisons: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

function actionNumber(name: string, errnoRet: number | undefined): number {
  const base = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (base === undefined) {
    throw new BerthError('INVALID_ARGUMENT', `seccomp profile: action ${name} is not supported`);
  }
  const data = name === 'SCMP_ACT_ERRNO' || name === 'SCMP_ACT_TRACE' ? (errnoRet ?? constants.errno.EPERM) : 0;
  return base + (data & 0xffff);
}

function comparisonNumber(name: string): number {
  const op = Object.hasOwn(comparisons, name) ? comparisons[name] : undefined;
  if (op === undefined) throw new BerthError('INVALID_ARGUMENT', `seccomp profile: comparison ${name} is unknown`);
  return op;
}

/** linux/seccomp.h. What is not here means nothing to us, or was refused. */
const flagNumbers: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_LOG: 1 << 1,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 1 << 2,
};

/** With which flags a filter is loaded: seccomp(2). */
export function filterFlags({ flags }: Pick<OciSeccomp, 'flags'>): number {
  return flags.reduce((all, name) => all | (flagNumbers[name] ?? 0), 0);
}

/** A filter has no more instructions; libseccomp takes minutes for a profile that repeats itself often enough. */
const maxRules = 4096;

/**
 * An OCI profile in libseccomp's numbers, each name once in a rule.
 *
 * @throws INVALID_ARGUMENT for words it does not have, and for more rules than a filter can hold
 */
export function toSeccompInput(profile: OciSeccomp): SeccompInput {
  const defaultAction = actionNumber(profile.defaultAction, profile.defaultErrnoRet);
  const rules: SeccompRule[] = [];
  let count = 0;
  for (const syscall of profile.syscalls) {
    const action = actionNumber(syscall.action, syscall.errnoRet);
    // libseccomp refuses a rule that says what the default says already.
    if (action === defaultAction) continue;
    const names = [...new Set(syscall.names)];
    count += names.length * Math.max(1, syscall.args.length);
    if (count > maxRules) {
      throw new BerthError(
        'INVALID_ARGUMENT',
        `seccomp profile: more than ${maxRules} rules, counted by system calls and arguments`,
      );
    }
    rules.push({
      names,
      action,
      // A mask comparison has the mask first and the wanted value second, as in the OCI specification.
      args: syscall.args.map((arg) => ({ ...arg, op: comparisonNumber(arg.op) })),
    });
  }
  return { defaultAction, architectures: profile.architectures, rules };
}
