import { BerthError } from '#base/errors';
import type { LinuxContainerSecurityContext__Output } from '#cri-api/gen/runtime/v1/LinuxContainerSecurityContext';
import type { SecurityProfile__Output } from '#cri-api/gen/runtime/v1/SecurityProfile';
import type { CapabilityInput, SeccompChoice } from '#runtime/container-input';
import { readSeccompProfile } from './seccomp-profile-file.ts';

type SecurityContext = LinuxContainerSecurityContext__Output | null;

/** What the field masks by default: what tells about or harms the node. */
const defaultMaskedPaths: readonly string[] = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];

const defaultReadonlyPaths: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/**
 * Paths to mask and to make read-only. Protobuf cannot tell "none given" from "give none": a list that is empty means
 * the default one. A pod with procMount Unmasked (KEP-4265) has a user namespace, which tells the two apart.
 */
export function maskedPaths(context: SecurityContext): { masked: readonly string[]; readonly: readonly string[] } {
  const given = context?.masked_paths ?? [];
  const givenReadonly = context?.readonly_paths ?? [];
  const none = given.length === 0 && givenReadonly.length === 0;
  return none
    ? { masked: defaultMaskedPaths, readonly: defaultReadonlyPaths }
    : { masked: given, readonly: givenReadonly };
}

const capabilityName = (name: string): string => {
  const upper = name.toUpperCase();
  return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
};

/** Kubernetes names capabilities without CAP_; both forms are taken. */
export function capabilities(context: SecurityContext): CapabilityInput {
  const asked = context?.capabilities;
  return {
    add: (asked?.add_capabilities ?? []).map(capabilityName),
    drop: (asked?.drop_capabilities ?? []).map(capabilityName),
    ambient: (asked?.add_ambient_capabilities ?? []).map(capabilityName),
  };
}

/** The seccomp profile; the deprecated path field still counts when the new one is not set. Nothing said: unconfined. */
export async function seccompChoice(context: SecurityContext): Promise<SeccompChoice> {
  const profile = context?.seccomp ?? fromPath(context?.seccomp_profile_path ?? '');
  if (!profile) return { type: 'unconfined' };
  switch (profile.profile_type) {
    case 'RuntimeDefault':
      return { type: 'runtimeDefault' };
    case 'Unconfined':
      return { type: 'unconfined' };
    case 'Localhost':
      return { type: 'profile', profile: await readSeccompProfile(profile.localhost_ref) };
    default:
      throw new BerthError('INVALID_ARGUMENT', `seccomp profile type ${String(profile.profile_type)} is unknown`);
  }
}

function fromPath(path: string): SecurityProfile__Output | undefined {
  if (path === '') return undefined;
  if (path === 'unconfined') return { profile_type: 'Unconfined', localhost_ref: '' };
  if (path === 'runtime/default' || path === 'docker/default')
    return { profile_type: 'RuntimeDefault', localhost_ref: '' };
  if (path.startsWith('localhost/'))
    return { profile_type: 'Localhost', localhost_ref: path.slice('localhost/'.length) };
  throw new BerthError(
    'INVALID_ARGUMENT',
    `seccomp profile ${path.slice(0, 256)} is not one of unconfined, runtime/default, localhost/<path>`,
  );
}

/** Name of the AppArmor profile, "" for none. A profile that was asked for by name is never dropped silently. */
export function apparmorProfile(context: SecurityContext, supported: boolean): string {
  const deprecated = context?.apparmor_profile ?? '';
  const named =
    context?.apparmor?.profile_type === 'Localhost'
      ? context.apparmor.localhost_ref
      : deprecated.startsWith('localhost/')
        ? deprecated.slice('localhost/'.length)
        : '';
  if (named === '' || context?.privileged === true) return '';
  if (!supported) {
    throw new BerthError(
      'FAILED_PRECONDITION',
      `AppArmor profile ${named} was asked for, but this kernel has no AppArmor`,
    );
  }
  return named;
}

/** The label of an SELinux context, "" where SELinux is off: kubelets send options whatever the node has. */
export function selinuxLabel(context: SecurityContext, supported: boolean): string {
  const options = context?.selinux_options;
  if (!supported || !options || options.type === '') return '';
  return [options.user || 'system_u', options.role || 'system_r', options.type, options.level || 's0'].join(':');
}
