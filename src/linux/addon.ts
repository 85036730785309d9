/**
 * The typed face of the native addon: mechanism only, no policy. src/linux/load.ts loads it; nobody else may.
 *
 * Synchronous functions never sleep. Everything that can (rtnetlink, setns, cgroup files, umount, libseccomp) runs on
 * one of the addon's own threads, each a bounded queue, and gives a Promise: never on libuv's pool, which LevelDB
 * shares and nobody can cancel.
 *
 * Failures are Errors with `code` (errno name), `errno` (number), `syscall` and, where there is one, `path`.
 */
export interface Addon {
  // ---- file descriptors; all are CLOEXEC
  close(fd: number): void;
  pipe(): { read: number; write: number };
  /** open(2) with O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW. */
  openDirectory(path: string): number;
  /** open(2) of a path with the given flags plus O_CLOEXEC (for /proc/<pid>/ns/net and the like). */
  open(path: string, flags: number, mode: number): number;
  /** Kind and identity, without following anything: for checks and leak tests. */
  fstat(fd: number): { mode: number; dev: bigint; ino: bigint };

  // ---- unix sockets; names are relative to a directory fd because 64-hex ids overflow the 108 bytes of a unix path
  /** socket, bind (umask 077) and listen below `directoryFd`. Refuses a name or path over 107 bytes by name. */
  listenUnix(directoryFd: number, name: string, backlog: number): number;
  /** Connects below `directoryFd`; the fd is non-blocking, for net.Socket. */
  connectUnix(directoryFd: number, name: string): number;
  /** Connects, sends `frame` in one sendmsg(2) with `fds` as SCM_RIGHTS, and gives the connection. The fds are only borrowed. */
  connectUnixWithFds(directoryFd: number, name: string, frame: Uint8Array, fds: readonly number[]): number;
  peerCredentials(fd: number): { pid: number; uid: number; gid: number };

  // ---- processes
  /** open_tree(OPEN_TREE_CLONE) of a binary and mount_setattr(MOUNT_ATTR_RDONLY): /proc/<pid>/exe of it cannot be written. */
  cloneExecutable(path: string): number;
  /** vfork + execveat; the child has exactly these fds, all signals default, an empty mask and its own session. */
  spawn(options: SpawnOptions): { pid: number; pidfd: number };
  /** waitid(P_PIDFD) on the addon's own waiter. Ends with the exit of that child and reaps it; does not close the pidfd. */
  waitPidfd(pidfd: number): Promise<ProcessExit>;
  pidfdOpen(pid: number): number;
  /** Returns false when the process is gone. */
  pidfdSendSignal(pidfd: number, signal: number): boolean;

  // ---- thread "net"
  /** A new network namespace with `lo` up, held only by the returned fd. */
  createNetns(): Promise<number>;
  /** Creates the bridge if missing, sets addresses, forwarding and hairpin defaults, brings it up. Idempotent. */
  ensureBridge(options: BridgeOptions): Promise<void>;
  /** One batch: veth pair with the peer born inside the namespace, host end on the bridge and up, `eth0` configured. */
  attachVeth(options: VethOptions): Promise<VethResult>;
  /** Names, indexes, and masters of the links of the current network namespace. */
  listLinks(): Promise<LinkInfo[]>;
  /** Link counters of `eth0` in that namespace. */
  netnsCounters(netnsFd: number): Promise<LinkCounters[]>;
  /** RTM_DELLINK; waits for RCU (tens of ms): only for clean-up of what no namespace owns. Missing: no error. */
  deleteLink(name: string): Promise<void>;

  // ---- thread "cg"
  /**
   * File operations in order, in one trip. One result per operation: undefined for success, or content for reads, or
   * the errno name. Stops at the first failure of an operation whose `optional` is not set; later results are 'ECANCELED'.
   */
  batch(operations: readonly FileOperation[]): Promise<FileResult[]>;

  // ---- seccomp (thread "cg")
  /** Compiles with libseccomp (SCMP_FLTATR_CTL_OPTIMIZE 2) and exports the BPF as bytes of struct sock_filter. */
  compileSeccomp(profile: SeccompInput): Promise<Uint8Array>;

  // ---- this machine and this process
  /** Effective and bounding capability sets, and the highest capability the kernel knows. */
  capabilities(): { effective: bigint; bounding: bigint; last: number };
  /** Reads a file below `rootFd` with openat2(RESOLVE_IN_ROOT), regular files only, at most `limit` bytes (else EFBIG). */
  readFileInRoot(rootFd: number, path: string, limit: number): Uint8Array;
  syncfs(fd: number): Promise<void>;
  /** umount2(path, MNT_DETACH). */
  detachMount(path: string): Promise<void>;
  getrlimit(resource: number): { soft: bigint; hard: bigint };
  /** PR_SET_DUMPABLE 0 and RLIMIT_CORE 0: registry passwords never end in a core file. */
  disableCoreDumps(): void;
}

export interface SpawnOptions {
  /** Path of the program, or an fd from cloneExecutable (then `path` is only for messages). */
  readonly path: string;
  readonly executableFd?: number;
  readonly argv: readonly string[];
  /** The whole environment, NAME=value. Nothing is inherited. */
  readonly env: readonly string[];
  readonly cwd?: string;
  readonly cwdFd?: number;
  /** Child's fd n is our fd fds[n]; null leaves n closed. */
  readonly fds: readonly (number | null)[];
}

export interface ProcessExit {
  /** Exit code, or undefined when a signal ended it. */
  readonly code?: number;
  readonly signal?: number;
}

export interface BridgeOptions {
  readonly name: string;
  /** CIDR notation, e.g. 10.89.0.1/16 and fd89::1/64. */
  readonly addresses: readonly string[];
  readonly mtu?: number;
}

export interface VethOptions {
  readonly netnsFd: number;
  /** At most 15 bytes. */
  readonly hostName: string;
  readonly containerName: string;
  readonly bridge: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** CIDR notation; IPv6 ones are added without duplicate address detection. */
  readonly addresses: readonly string[];
  /** Default routes. */
  readonly gateways: readonly string[];
}

export interface VethResult {
  readonly hostIndex: number;
  readonly mac: string;
}

export interface LinkInfo {
  readonly name: string;
  readonly index: number;
  readonly kind: string;
  readonly master: number;
  readonly up: boolean;
}

export interface LinkCounters {
  readonly name: string;
  readonly rxBytes: bigint;
  readonly rxErrors: bigint;
  readonly txBytes: bigint;
  readonly txErrors: bigint;
}

export type FileOperation = (
  | { readonly op: 'mkdir'; readonly path: string; readonly mode: number }
  | { readonly op: 'rmdir'; readonly path: string }
  | { readonly op: 'write'; readonly path: string; readonly data: string }
  | { readonly op: 'read'; readonly path: string; readonly limit: number }
) & {
  /** A failure (any, or one of these errnos) is reported but does not stop the batch. */
  readonly optional?: boolean | readonly string[];
};

export type FileResult =
  { readonly error?: undefined; readonly data?: string } | { readonly error: string; readonly data?: undefined };

/** libseccomp's words, decided by runtime/seccomp from an OCI profile; names the kernel does not know are skipped. */
export interface SeccompInput {
  readonly defaultAction: number;
  readonly architectures: readonly string[];
  readonly flags: readonly string[];
  readonly rules: readonly SeccompRule[];
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: number;
  readonly args: readonly {
    readonly index: number;
    readonly op: number;
    readonly value: bigint;
    readonly valueTwo: bigint;
  }[];
}
