/** The parts of the OCI runtime specification (1.2) that Berth makes and reads. Names are the specification's. */
export interface OciSpec {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname?: string;
  readonly mounts: readonly OciMount[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux: OciLinux;
}

export interface OciProcess {
  readonly terminal: boolean;
  readonly user: {
    readonly uid: number;
    readonly gid: number;
    readonly umask: number;
    readonly additionalGids: readonly number[];
  };
  /** Bytes as they came, one character a byte (latin1): environment and arguments are never decoded. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: OciCapabilities;
  readonly rlimits: readonly { readonly type: string; readonly soft: bigint; readonly hard: bigint }[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj?: number;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
}

export interface OciCapabilities {
  readonly bounding: readonly string[];
  readonly effective: readonly string[];
  readonly permitted: readonly string[];
  readonly inheritable: readonly string[];
  readonly ambient: readonly string[];
}

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  /** Options as mount(8) and the specification name them: "rbind", "ro", "rslave", "rro", "size=64m". */
  readonly options: readonly string[];
}

export interface OciLinux {
  readonly namespaces: readonly {
    readonly type: 'pid' | 'network' | 'ipc' | 'uts' | 'mount' | 'cgroup' | 'user';
    readonly path?: string;
  }[];
  readonly uidMappings?: readonly OciIdMapping[];
  readonly gidMappings?: readonly OciIdMapping[];
  readonly devices: readonly OciDevice[];
  readonly cgroupsPath: string;
  readonly resources: LinuxResources;
  readonly sysctl: Readonly<Record<string, string>>;
  readonly seccomp?: OciSeccomp;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly rootfsPropagation: 'private' | 'slave' | 'shared';
}

export interface OciIdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface OciDevice {
  readonly path: string;
  /** Not of the specification: where it is on the node, when that is another path. */
  readonly source?: string;
  /** Not of the specification: nobody asked for it, so that it is left out where a volume lies. */
  readonly byDefault?: boolean;
  readonly type: 'c' | 'b' | 'p';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Limits of a cgroup; a missing key sets nothing. */
export interface LinuxResources {
  readonly cpuShares?: bigint;
  /** Microseconds; -1n: unlimited. */
  readonly cpuQuota?: bigint;
  readonly cpuPeriod?: bigint;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** Bytes; -1n: unlimited. */
  readonly memoryLimit?: bigint;
  /** Bytes of memory and swap together, as in the OCI spec; -1n: unlimited. */
  readonly memorySwap?: bigint;
  readonly pidsLimit?: bigint;
  readonly hugepageLimits?: readonly { readonly pageSize: string; readonly limit: bigint }[];
  /** cgroup v2 files by name; refused on v1. */
  readonly unified?: Readonly<Record<string, string>>;
  /** Device rules in order; the first is usually deny all. */
  readonly devices?: readonly DeviceRule[];
}

export interface DeviceRule {
  readonly allow: boolean;
  readonly type: 'a' | 'b' | 'c';
  /** undefined: every number. */
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

export interface OciSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures: readonly string[];
  readonly flags: readonly string[];
  readonly syscalls: readonly OciSyscall[];
}

export interface OciSyscall {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args: readonly {
    readonly index: number;
    readonly value: bigint;
    readonly valueTwo: bigint;
    readonly op: string;
  }[];
}
