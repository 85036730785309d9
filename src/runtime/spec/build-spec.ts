import type { Ctx } from '#base/ctx';
import type { ContainerInput, IdRange } from '#runtime/container-input';
import { settleProfile } from '#runtime/seccomp/parse-profile';
import { defaultProfile } from '#runtime/seccomp/resolve';
import { resolveCapabilities } from './capabilities.ts';
import { containerDevices } from './devices.ts';
import { containerMounts } from './mounts.ts';
import type { Rlimit } from './rlimits.ts';
import type { OciIdMapping, OciLinux, OciProcess, OciSeccomp, OciSpec } from './oci.ts';

/** What the machine allows; the same for every container. */
export interface SpecSurroundings {
  readonly heldCapabilities: ReadonlySet<string>;
  readonly architectures: readonly string[];
  /** Every limit, for those that the input does not name. */
  readonly rlimits: readonly Rlimit[];
  /** Path of a namespace file of a process, for the `path` of a joined namespace. */
  readonly namespacePath: (pid: number, name: string) => string;
  readonly pausePid: number;
  /** Init of the container whose pid namespace is joined. */
  readonly targetPid?: number;
}

export interface BuiltSpec {
  readonly spec: OciSpec;
  readonly warnings: readonly string[];
}

/** Turns a container's input into the OCI runtime spec it will run by. */
export async function buildSpec(ctx: Ctx, input: ContainerInput, around: SpecSurroundings): Promise<BuiltSpec> {
  const { sets, cut } = resolveCapabilities(input.capabilities, input.privileged, around.heldCapabilities);
  const { devices, rules } = await containerDevices(ctx, input);
  const seccomp = chooseSeccomp(input, new Set(sets.bounding), around.architectures);
  const process: OciProcess = {
    terminal: input.tty,
    user: { uid: input.user.uid, gid: input.user.gid, umask: 0o022, additionalGids: input.user.additionalGids },
    args: input.args,
    env: input.env,
    cwd: input.cwd,
    capabilities: sets,
    rlimits: withDefaults(input.rlimits, around.rlimits),
    noNewPrivileges: input.noNewPrivileges,
    oomScoreAdj: input.oomScoreAdj,
    ...(input.apparmorProfile === '' ? {} : { apparmorProfile: input.apparmorProfile }),
    ...(input.selinuxLabel === '' ? {} : { selinuxLabel: input.selinuxLabel }),
  };
  const linux: OciLinux = {
    namespaces: namespaces(input, around),
    ...(input.users && { uidMappings: mappings(input.users.uids), gidMappings: mappings(input.users.gids) }),
    devices,
    cgroupsPath: input.cgroupPath,
    resources: { ...input.resources, devices: rules },
    sysctl: input.sysctls,
    ...(seccomp === undefined ? {} : { seccomp }),
    maskedPaths: input.privileged ? [] : input.maskedPaths,
    readonlyPaths: input.privileged ? [] : input.readonlyPaths,
    rootfsPropagation: 'private',
  };
  const spec: OciSpec = {
    ociVersion: '1.2.1',
    process,
    root: { path: 'rootfs', readonly: input.rootfs.readonly },
    hostname: input.hostname,
    mounts: containerMounts(input),
    annotations: input.annotations,
    linux,
  };
  const warnings = cut.map((name) => `capability ${name} was asked for, but berthd does not hold it`);
  return { spec, warnings };
}

function withDefaults(asked: readonly Rlimit[], defaults: readonly Rlimit[]): readonly Rlimit[] {
  const named = new Set(asked.map(({ type }) => type));
  return [...asked, ...defaults.filter(({ type }) => !named.has(type))];
}

const defaultProfiles = new Map<string, OciSeccomp>();

function chooseSeccomp(
  input: ContainerInput,
  capabilities: ReadonlySet<string>,
  architectures: readonly string[],
): OciSeccomp | undefined {
  if (input.privileged || input.seccomp.type === 'unconfined') return undefined;
  if (input.seccomp.type === 'profile') return settleProfile(input.seccomp.profile, capabilities);
  // One object per set of capabilities, so that its compiled filter is found without hashing it again. The number of
  // sets in use on a node is small; a flood of odd ones only costs a new map.
  const key = [...capabilities].join();
  let profile = defaultProfiles.get(key);
  if (profile === undefined) {
    if (defaultProfiles.size >= 256) defaultProfiles.clear();
    profile = defaultProfile(capabilities, architectures);
    defaultProfiles.set(key, profile);
  }
  return profile;
}

function mappings({ hostId, length }: IdRange): readonly OciIdMapping[] {
  return [{ containerID: 0, hostID: hostId, size: length }];
}

function namespaces(input: ContainerInput, around: SpecSurroundings): OciLinux['namespaces'] {
  const joined = (name: string, pid = around.pausePid): { path: string } => ({ path: around.namespacePath(pid, name) });
  const list: OciLinux['namespaces'][number][] = [{ type: 'mount' }, { type: 'cgroup' }];
  if (input.users) list.push({ type: 'user', ...joined('user') });
  if (input.network === 'pod') list.push({ type: 'network', ...joined('net') });
  if (input.ipc === 'pod') list.push({ type: 'ipc', ...joined('ipc') });
  if (input.uts === 'pod') list.push({ type: 'uts', ...joined('uts') });
  if (input.pid === 'container') list.push({ type: 'pid' });
  else if (input.pid === 'pod') list.push({ type: 'pid', ...joined('pid') });
  else if (typeof input.pid === 'object') list.push({ type: 'pid', ...joined('pid', around.targetPid) });
  return list;
}
