import { BerthError } from '#base/errors';
import { capabilityMask } from '#runtime/spec/capabilities';
import type { SeccompFilter } from '#runtime/seccomp/filters';
import type { OciProcess } from '#runtime/spec/oci';
import { rlimitNumbers } from '#runtime/spec/rlimits';
import type { Process } from '#runtime/shim/gen/berth/shim/Process';

/** Arguments and environment hold one byte per character. */
const bytes = (texts: readonly string[]): Buffer[] => texts.map((text) => Buffer.from(text, 'latin1'));

/** The confinement of one process, of a container's init and of its execs alike. */
export function compileProcess(process: OciProcess, seccomp: SeccompFilter | undefined): Process {
  const { capabilities } = process;
  return {
    args: bytes(process.args),
    env: bytes(process.env),
    cwd: process.cwd,
    create_cwd: true,
    uid: process.user.uid,
    gid: process.user.gid,
    groups: [...process.user.additionalGids],
    umask: process.user.umask,
    cap_bounding: capabilityMask(capabilities.bounding).toString(),
    cap_effective: capabilityMask(capabilities.effective).toString(),
    cap_permitted: capabilityMask(capabilities.permitted).toString(),
    cap_inheritable: capabilityMask(capabilities.inheritable).toString(),
    cap_ambient: capabilityMask(capabilities.ambient).toString(),
    rlimits: process.rlimits.map((limit) => ({
      resource: rlimitNumber(limit.type),
      soft: limit.soft.toString(),
      hard: limit.hard.toString(),
    })),
    no_new_privs: process.noNewPrivileges,
    ...(seccomp && filterFields(seccomp)),
    set_oom_score_adj: process.oomScoreAdj !== undefined,
    oom_score_adj: process.oomScoreAdj ?? 0,
    tty: process.terminal,
    apparmor_profile: process.apparmorProfile ?? '',
    selinux_label: process.selinuxLabel ?? '',
  };
}

/** The filter's part of a process. */
export function filterFields({ program, flags }: SeccompFilter): Pick<Process, 'seccomp' | 'seccomp_flags'> {
  return { seccomp: Buffer.from(program.buffer, program.byteOffset, program.byteLength), seccomp_flags: flags };
}

function rlimitNumber(name: string): number {
  const number = Object.hasOwn(rlimitNumbers, name) ? rlimitNumbers[name] : undefined;
  if (number === undefined) throw new BerthError('INVALID_ARGUMENT', `unknown resource limit ${name}`);
  return number;
}
