import { BerthError } from '#base/errors';
import type { CapabilityInput } from '#runtime/container-input';
import type { OciCapabilities } from './oci.ts';

/** Every capability by number (capability.h); the index is the bit. */
export const capabilityNames: readonly string[] = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
  NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
  SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
  MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

/** What a container has when nothing is said: the field's customary set. */
export const defaultCapabilities: readonly string[] = `
  CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
  AUDIT_WRITE`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

/** The names in a bit mask. */
export function capabilitiesOf(mask: bigint): ReadonlySet<string> {
  return new Set(capabilityNames.filter((_name, bit) => (mask >> BigInt(bit)) & 1n));
}

/** The bit mask of names; unknown names are a bug by now. */
export function capabilityMask(names: readonly string[]): bigint {
  return names.reduce((mask, name) => mask | (1n << BigInt(capabilityNames.indexOf(name))), 0n);
}

function checkName(name: string): void {
  if (name !== 'ALL' && !capabilityNames.includes(name)) {
    throw new BerthError('INVALID_ARGUMENT', `unknown capability ${name.slice(0, 64)}`);
  }
}

/**
 * The sets of a container: default, then `add: ALL`, `drop: ALL`, each added, each dropped, in this order. Cut to what
 * berthd itself holds, because asking for more fails on nested machines. Ambient ones are in all five sets (KEP-2763).
 *
 * @returns the sets and the names that were asked for by name and cut
 */
export function resolveCapabilities(
  input: CapabilityInput,
  privileged: boolean,
  held: ReadonlySet<string>,
): { readonly sets: OciCapabilities; readonly cut: readonly string[] } {
  [...input.add, ...input.drop, ...input.ambient].forEach(checkName);
  const everything = privileged || input.add.includes('ALL');
  const wanted = new Set(everything ? capabilityNames : defaultCapabilities);
  if (!privileged && input.drop.includes('ALL')) wanted.clear();
  for (const name of input.add) if (name !== 'ALL') wanted.add(name);
  const ambient = input.ambient.includes('ALL') ? capabilityNames : input.ambient;
  ambient.forEach((name) => wanted.add(name));
  if (!privileged) for (const name of input.drop) wanted.delete(name);

  const granted = capabilityNames.filter((name) => wanted.has(name) && held.has(name));
  const cut = [...input.add, ...input.ambient].filter((name) => name !== 'ALL' && !held.has(name));
  const ambientGranted = granted.filter((name) => ambient.includes(name));
  const sets = {
    bounding: granted,
    effective: granted,
    permitted: granted,
    inheritable: ambientGranted,
    ambient: ambientGranted,
  };
  return { sets, cut };
}
