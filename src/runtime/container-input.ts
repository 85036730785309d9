import type { Fd } from '#linux/fd';
import type { SeccompProfile } from '#runtime/seccomp/parse-profile';
import type { LinuxResources, OciSpec } from '#runtime/spec/oci';

/** Where a pod's shared namespace comes from. */
export type PodNamespace = 'pod' | 'node';

/** Ids 0 to `length` - 1 inside are `hostId` and up on the node. */
export interface IdRange {
  readonly hostId: number;
  readonly length: number;
}

/** The ids of a pod whose root is not the node's (KEP-127). */
export interface UserNamespace {
  readonly uids: IdRange;
  readonly gids: IdRange;
}

export interface PodInput {
  readonly podId: string;
  /** 'pod': the namespace is `netns`, which stays the caller's; without one pause makes it. */
  readonly network: PodNamespace;
  readonly netns?: Fd;
  readonly ipc: PodNamespace;
  readonly uts: PodNamespace;
  /** 'pod': one pid namespace, pause is pid 1; 'container': each container its own. */
  readonly pid: 'pod' | 'container' | 'node';
  /** Undefined: the node's. Otherwise network, ipc and uts are the pod's, made after it and without `netns`. */
  readonly users?: UserNamespace;
  readonly hostname: string;
  readonly sysctls: Readonly<Record<string, string>>;
  /** Size of the pod's /dev/shm in bytes. */
  readonly shmBytes: bigint;
  /** Kept beside the shim as it is, from before there is one: what the caller must know again should it lose its own. */
  readonly document: string;
}

/**
 * A container in words of Linux and OCI, free of Kubernetes. Strings that reach the process (arguments, environment)
 * hold one byte per character (latin1), because nobody promised that they are UTF-8.
 */
export interface ContainerInput {
  readonly podId: string;
  readonly id: string;
  readonly pid: 'pod' | 'container' | 'node' | { readonly target: string };
  readonly network: PodNamespace;
  readonly ipc: PodNamespace;
  readonly uts: PodNamespace;
  /** The pod's. */
  readonly users?: UserNamespace;
  readonly hostname: string;
  readonly cgroupPath: string;
  readonly resources: LinuxResources;
  readonly oomScoreAdj: number;
  readonly rootfs: RootfsInput;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: UserInput;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly privileged: boolean;
  readonly noNewPrivileges: boolean;
  readonly capabilities: CapabilityInput;
  readonly seccomp: SeccompChoice;
  readonly apparmorProfile: string;
  readonly selinuxLabel: string;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly mounts: readonly MountInput[];
  readonly devices: readonly DeviceInput[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly rlimits: readonly { readonly type: string; readonly soft: bigint; readonly hard: bigint }[];
  /** "" for none. */
  readonly logPath: string;
  /** Milliseconds for the whole setup, volumes included. */
  readonly setupTimeoutMs: number;
  /** As the pod's. */
  readonly document: (spec: OciSpec) => string;
}

export interface RootfsInput {
  readonly layersDirectory: string;
  /** Top layer first. */
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
  readonly readonly: boolean;
  /** Image VOLUMEs that no mount covers. */
  readonly volumes: readonly string[];
}

export interface UserInput {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

export interface CapabilityInput {
  /** Names with CAP_, upper case; 'ALL' allowed. Applied to the default set, add after drop of ALL as containerd does. */
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly ambient: readonly string[];
}

export type SeccompChoice =
  | { readonly type: 'unconfined' }
  | { readonly type: 'runtimeDefault' }
  | { readonly type: 'profile'; readonly profile: SeccompProfile };

export interface MountInput {
  readonly source: string;
  readonly destination: string;
  readonly readonly: boolean;
  readonly recursiveReadonly: boolean;
  readonly propagation: 'private' | 'hostToContainer' | 'bidirectional';
  /** A volume of the kubelet: may hang, a missing source is created as a directory. Pod files (resolv.conf) are not. */
  readonly volume: boolean;
  /** Its files belong to the pod's ids. */
  readonly idmapped?: boolean;
  readonly noexec?: boolean;
  readonly nodev?: boolean;
  readonly nosuid?: boolean;
}

export interface DeviceInput {
  readonly hostPath: string;
  readonly containerPath: string;
  /** Of "rwm". */
  readonly permissions: string;
}
