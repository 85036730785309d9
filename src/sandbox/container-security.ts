import { BerthError } from '#base/errors';
import type { LinuxContainerSecurityContext__Output } from '#cri-api/gen/runtime/v1/LinuxContainerSecurityContext';
import type { CapabilityInput, SeccompChoice } from '#runtime/container-input';
import { checkProfile, profileOfWord, withoutPrefix } from './module-labels.ts';
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
 * Paths to mask and to make read-only. A kubelet sends its own lists, and empty ones for procMount Unmasked (KEP-4265),
 * which Kubernetes allows only in pods with users of their own: there nothing is masked then. Protobuf cannot tell "give
 * none" from "nothing said", so in all other pods the default ones are meant, whoever asks.
 */
export function maskedPaths(
  context: SecurityContext,
  ownUsers: boolean,
): { masked: readonly string[]; readonly: readonly string[] } {
  const masked = context?.masked_paths ?? [];
  const readonly = context?.readonly_paths ?? [];
  const given = masked.length + readonly.length > 0;
  if (given || (context && ownUsers)) return { masked, readonly };
  return { masked: defaultMaskedPaths, readonly: defaultReadonlyPaths };
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

export interface SeccompWords {
  readonly seccomp: SeccompChoice;
  readonly warnings: readonly string[];
  /** Fields of the profile that nobody knows. */
  readonly unknownFields: number;
}

/**
 * The seccomp profile; the deprecated path field still counts when the new one is not set. Nothing said, privileged, and a
 * profile file that says nothing: unconfined, as with everybody.
 */
export async function chooseSeccomp(context: SecurityContext, supported: boolean): Promise<SeccompWords> {
  const unconfined: SeccompWords = { seccomp: { type: 'unconfined' }, warnings: [], unknownFields: 0 };
  const asked = context?.seccomp ?? profileOfWord(context?.seccomp_profile_path ?? '', 'seccomp_profile_path');
  if (!asked) return unconfined;
  checkProfile(asked, 'seccomp');
  if (asked.profile_type === 'Unconfined' || context?.privileged === true) return unconfined;
  if (!supported) {
    throw new BerthError(
      'FAILED_PRECONDITION',
      `seccomp profile ${asked.profile_type} was asked for, but this kernel has no seccomp`,
    );
  }
  if (asked.profile_type === 'RuntimeDefault') return { ...unconfined, seccomp: { type: 'runtimeDefault' } };
  const file = withoutPrefix(asked.localhost_ref);
  if (file === '') throw new BerthError('INVALID_ARGUMENT', 'seccomp: Localhost needs localhost_ref');
  const { profile, unknown, unknownCount: unknownFields } = await readSeccompProfile(file);
  const warnings = unknown.length === 0 ? [] : [`seccomp profile ${file}: unknown fields: ${unknown.join(', ')}`];
  if (profile) return { seccomp: { type: 'profile', profile }, warnings, unknownFields };
  return {
    ...{ ...unconfined, unknownFields },
    warnings: [...warnings, `seccomp profile ${file} says nothing: the container has no filter`],
  };
}
