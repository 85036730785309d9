import { BerthError } from '#base/errors';
import type { Logger } from '#base/log';
import type { LinuxContainerSecurityContext__Output } from '#cri-api/gen/runtime/v1/LinuxContainerSecurityContext';
import type { SecurityProfile__Output } from '#cri-api/gen/runtime/v1/SecurityProfile';
import type { SELinuxOption__Output } from '#cri-api/gen/runtime/v1/SELinuxOption';
import type { SecurityModules } from '#linux/security-modules';

// AppArmor profiles and SELinux labels, and whether there is seccomp: what is asked for is done or refused where the kernel
// has the module. Where it has none, what means "as usual" is taken, and a profile by name refused.

/** What they do for containers, in a sentence for each that Status tells. */
export function modulesInWords({
  apparmor,
  selinux,
  seccomp,
}: SecurityModules): Readonly<Record<keyof SecurityModules, string>> {
  return {
    apparmor: apparmor
      ? 'active: Localhost profiles confine; RuntimeDefault and nothing said run unconfined, there is no default profile yet'
      : 'not active: Localhost profiles are refused, RuntimeDefault means nothing',
    selinux: selinux
      ? 'active: selinux_options are refused, nothing is labelled or relabelled yet'
      : 'not active: selinux_options and selinux_relabel mean nothing',
    seccomp: seccomp
      ? 'active: RuntimeDefault and Localhost profiles filter; nothing said is unconfined'
      : 'not active: RuntimeDefault and Localhost profiles are refused',
  };
}

/** Said once at the start, where a container gets less than people expect of such a node. */
export function warnOfModules(active: SecurityModules, log: Pick<Logger, 'warn'>): void {
  const words = modulesInWords(active);
  if (active.apparmor) log.warn({}, `AppArmor is ${words.apparmor}`);
  if (active.selinux) log.warn({}, `SELinux is ${words.selinux}`);
  if (!active.seccomp) log.warn({}, `seccomp is ${words.seccomp}`);
}

export interface AppArmorChoice {
  /** "" for none. */
  readonly profile: string;
  /** What the container does not get. */
  readonly warnings: readonly string[];
}

/**
 * The AppArmor profile: the field, else the deprecated word. Whoever names a profile gets it, privileged or not; who says
 * nothing runs unconfined, and so does RuntimeDefault, for there is no default profile yet.
 *
 * @throws INVALID_ARGUMENT, FAILED_PRECONDITION
 */
export function chooseAppArmor(
  context: LinuxContainerSecurityContext__Output | null,
  active: SecurityModules,
): AppArmorChoice {
  const none: AppArmorChoice = { profile: '', warnings: [] };
  const asked = context?.apparmor ?? profileOfWord(context?.apparmor_profile ?? '', 'apparmor_profile');
  if (!asked) return none;
  checkProfile(asked, 'apparmor');
  if (asked.profile_type === 'Unconfined') return none;
  if (asked.profile_type === 'Localhost') return { profile: namedProfile(asked.localhost_ref, active), warnings: [] };
  if (context?.privileged === true) return none;
  const why = active.apparmor ? 'Berth has no default profile yet' : 'AppArmor is not active on this node';
  return { profile: '', warnings: [`AppArmor RuntimeDefault: ${why}, the container runs unconfined`] };
}

/** Kubernetes' name of a profile, which callers bring with or without its prefix. */
const localPrefix = 'localhost/';
export const withoutPrefix = (reference: string): string =>
  reference.startsWith(localPrefix) ? reference.slice(localPrefix.length) : reference;

function namedProfile(reference: string, active: SecurityModules): string {
  const name = withoutPrefix(reference);
  if (name === '') throw new BerthError('INVALID_ARGUMENT', 'apparmor: Localhost needs localhost_ref');
  if (active.apparmor) return name;
  throw new BerthError(
    'FAILED_PRECONDITION',
    `AppArmor profile ${name} was asked for, but AppArmor is not active on this node`,
  );
}

/** A type that is known, and a reference where it means something. @throws INVALID_ARGUMENT */
export function checkProfile({ profile_type: type, localhost_ref }: SecurityProfile__Output, field: string): void {
  if (!['RuntimeDefault', 'Unconfined', 'Localhost'].includes(type)) {
    throw new BerthError('INVALID_ARGUMENT', `${field}: profile_type ${type as string} is unknown`);
  }
  if (type === 'Localhost' || localhost_ref === '') return;
  throw new BerthError('INVALID_ARGUMENT', `${field}: localhost_ref is set, but profile_type is ${type}`);
}

/** What the deprecated fields say; undefined for nothing. @throws INVALID_ARGUMENT */
export function profileOfWord(word: string, field: string): SecurityProfile__Output | undefined {
  if (word === '') return undefined;
  if (word === 'unconfined') return { profile_type: 'Unconfined', localhost_ref: '' };
  if (word === 'runtime/default' || word === 'docker/default') {
    return { profile_type: 'RuntimeDefault', localhost_ref: '' };
  }
  if (word.startsWith(localPrefix)) return { profile_type: 'Localhost', localhost_ref: withoutPrefix(word) };
  throw new BerthError(
    'INVALID_ARGUMENT',
    `${field} ${JSON.stringify(word.slice(0, 256))} is not one of unconfined, runtime/default, localhost/<profile>`,
  );
}

/** Sensitivities and categories, as Kubernetes' runtimes take them: "s0", "s0:c1,c2", "s0-s1:c0.c1023". */
const levelPattern = /^s\d(-s\d)?(:c\d{1,4}(\.c\d{1,4})?(,c\d{1,4}(\.c\d{1,4})?)*)?$/;

/**
 * Nothing is labelled yet: options are refused where SELinux is active, and mean nothing where it is not. A privileged
 * container or pod has no label of its own with anybody.
 *
 * @throws INVALID_ARGUMENT, FAILED_PRECONDITION
 */
export function checkSelinux(
  options: SELinuxOption__Output | null,
  { selinux }: SecurityModules,
  privileged: boolean,
): void {
  if (!options) return;
  const { user, role, type, level } = options;
  if (level !== '' && !levelPattern.test(level)) {
    const shown = JSON.stringify(level.slice(0, 256));
    throw new BerthError('INVALID_ARGUMENT', `selinux_options.level ${shown} is not one like s0:c1,c2`);
  }
  if (!selinux || privileged || [user, role, type, level].every((word) => word === '')) return;
  throw new BerthError(
    'FAILED_PRECONDITION',
    'selinux_options are set, and SELinux is active on this node: Berth cannot label containers yet',
  );
}
