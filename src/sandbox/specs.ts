import { BerthError } from '#base/errors';
import { defaultProfile, nativeArchitectures } from '#runtime/seccomp/resolve';
import type { OciSeccomp, OciSpec } from '#runtime/spec/oci';
import type { SandboxParts } from './parts.ts';
import type { Container } from './pod.ts';
import type { SpecRecord } from './records.ts';

export type { OciSpec };

/**
 * What is stored of a spec. The profile of RuntimeDefault is most of its bytes and follows from the capabilities: it is
 * left out, and made anew when it is needed.
 */
export function toSpecRecord(id: string, spec: OciSpec, defaultSeccomp: boolean): SpecRecord {
  if (!defaultSeccomp || !spec.linux.seccomp) return { id, spec, defaultSeccomp: false };
  const { seccomp: _made, ...linux } = spec.linux;
  return { id, spec: { ...spec, linux }, defaultSeccomp: true };
}

/** The spec a container runs by. @throws STATE_CORRUPT when its record was lost */
export function specOf(parts: SandboxParts, container: Container): OciSpec {
  const spec = findSpec(parts, container);
  if (spec) return spec;
  throw new BerthError('STATE_CORRUPT', `the spec of container ${container.id} is lost; recreate the container`);
}

export function findSpec(parts: SandboxParts, container: Container): OciSpec | undefined {
  const record = parts.pods.collections.specs.get(container.id);
  if (!record) return undefined;
  if (!record.defaultSeccomp) return record.spec;
  const seccomp = profileFor(record.spec.process.capabilities.bounding);
  return { ...record.spec, linux: { ...record.spec.linux, seccomp } };
}

// One object for each set of capabilities: its compiled filter is then found without hashing the profile again.
const profiles = new Map<string, OciSeccomp>();
const profileLimit = 256;

function profileFor(capabilities: readonly string[]): OciSeccomp {
  const key = capabilities.join();
  let profile = profiles.get(key);
  if (!profile) {
    if (profiles.size >= profileLimit) profiles.clear();
    profile = defaultProfile(new Set(capabilities), nativeArchitectures(process.arch));
    profiles.set(key, profile);
  }
  return profile;
}
