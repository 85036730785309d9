/** Raised with every change of the addon's functions; load.ts refuses a library that was built for another one. */
export const addonAbiVersion = 8;

/**
 * The typed face of the native addon: mechanism only, no policy. src/linux/load.ts loads it; nobody else may.
 *
 * Synchronous functions never sleep. Everything that can (rtnetlink, setns, cgroup files, umount, libseccomp) runs on
 * one of the addon's own threads ("net", "cg", "seccomp", "disk", "files", "usage", "wait"), each a bounded queue, and gives a Promise: never on
 * libuv's pool, which LevelDB shares and nobody can cancel. Numbers of descriptors are duplicated when a call is made,
 * so the caller may close his at once.
 *
 * Failures are Errors with `code` (errno name), `errno` (number), `syscall` and, where there is one, `path`; a full
 * queue is EAGAIN. Arguments of a wrong type are a TypeError, thrown at once.
 */
export interface Addon {
  readonly abiVersion: number;

  // ---- file descriptors; all are CLOEXEC
  close(fd: number): void;
  pipe(): { read: number; write: number };
  /** open(2) with O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW. */
  openDirectory(path: string): number;
  /** open(2) of a path with the given flags plus O_CLOEXEC (for /proc/<pid>/ns/net and the like). */
  open(path: string, flags: number, mode: number): number;
  duplicate(fd: number): number;
  /** flock(2), exclusive, until the last copy of the descriptor is closed. False when somebody else has it. */
  lock(fd: number): boolean;
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
  /**
   * Brings up the `lo` of a namespace and gives it a file, which must not exist yet: a bind mount. `detachMount` and
   * unlink take it away.
   */
  bindNetns(netnsFd: number, path: string): Promise<void>;
  /**
   * Writes settings of that namespace (sysctl(8)), in order, until one fails. `path` is below /proc/sys and begins with
   * `net/`: "net/ipv4/conf/eth0.100/forwarding".
   */
  writeNetSettings(
    netnsFd: number,
    settings: readonly { readonly path: string; readonly value: string }[],
  ): Promise<void>;
  /** Creates the bridge if missing, sets its addresses, brings it up. Idempotent. Forwarding is the caller's. */
  ensureBridge(options: BridgeOptions): Promise<void>;
  /**
   * Veth pair with the peer born inside the namespace, host end on the bridge, hairpin and up; inside `lo` up, the
   * peer up with its addresses and routes. On failure the pair is deleted again.
   */
  attachVeth(options: VethOptions): Promise<VethResult>;
  /** Names, indexes, and masters of the links of the current network namespace. */
  listLinks(): Promise<LinkInfo[]>;
  /** Counters of the links in that namespace, without `lo`. */
  netnsCounters(netnsFd: number): Promise<LinkCounters[]>;
  /** A TCP socket (not blocking, not connected) that lives in that namespace, whoever uses it from where. */
  socketInNetns(netnsFd: number, family: 4 | 6): Promise<number>;
  /** RTM_DELLINK; waits for RCU (tens of ms): only for clean-up of what no namespace owns. Missing: no error. */
  deleteLink(name: string): Promise<void>;

  /**
   * Makes the kernel forget every UDP flow that was sent to one of these ports (1 to 65535); gives how many there were.
   */
  forgetUdpFlows(ports: readonly number[]): Promise<number>;

  // ---- thread "cg"
  /**
   * File operations in order, in one trip. One result per operation: undefined for success, or content for reads, or
   * the errno name. Stops at the first failure of an operation whose `optional` is not set; later results are 'ECANCELED'.
   * At most 4096 operations.
   */
  batch(operations: readonly FileOperation[]): Promise<FileResult[]>;
  /** The same on thread "files": the small files of pods and containers, whose disk may be slower than control groups. */
  fileBatch(operations: readonly FileOperation[]): Promise<FileResult[]>;
  /** Puts a program (bytes of struct bpf_insn) in place of the device rules of a cgroup v2 directory, without a gap. */
  attachDeviceProgram(directory: string, instructions: Uint8Array): Promise<void>;

  /**
   * The same files of many directories, in one trip. For each directory one text: the files' contents in the order of
   * `files`, each followed by "\0"; a file that is missing, unreadable or longer than `limit` (and not `cut`)
   * is "\x01". One byte a character. At most 4096 directories of 64 files.
   */
  readEach(directories: readonly string[], files: readonly SharedFile[], limit: number): Promise<string[]>;

  // ---- how much is used
  /**
   * Walks a tree without following links, on thread "usage", which gives way to everybody else: may take minutes.
   * Stops when `limit` inodes are counted.
   */
  treeUsage(path: string, limit: number): Promise<TreeUsage>;
  /** What lies in directories that the operation `project` gave an id, by the file system's own books; else undefined. */
  projectUsage(directories: readonly string[]): Promise<(TreeUsage | undefined)[]>;
  /** Of all processes in a cgroup.procs file, counting at most `limit`. Thread "files". */
  countDescriptors(procsFile: string, limit: number): Promise<{ readonly open: bigint; readonly sockets: bigint }>;

  // ---- seccomp (thread "seccomp")
  /**
   * Compiles with libseccomp (SCMP_FLTATR_CTL_OPTIMIZE 2) and exports the BPF as bytes of struct sock_filter. E2BIG when that
   * is longer than a shim takes.
   */
  compileSeccomp(profile: SeccompInput): Promise<Uint8Array>;

  // ---- this machine and this process
  /** Effective and bounding capability sets, and the highest capability the kernel knows. */
  capabilities(): { effective: bigint; bounding: bigint; last: number };
  /**
   * Why an epoll instance of this process is charged to its user like everybody's: an errno, or -1 where Node was started
   * without our function for making them (deploy/berthd). 0: none is.
   */
  epollRefusal(): number;
  /** Whether our root is not that of our mount namespace. Needs CAP_SYS_ADMIN and CAP_SYS_CHROOT. */
  inChroot(): boolean;
  /** Reads a file below `rootFd` with openat2(RESOLVE_IN_ROOT), regular files only, at most `limit` bytes (else EFBIG). */
  readFileInRoot(rootFd: number, path: string, limit: number): Uint8Array;
  /** Thread "disk", because it may take seconds. */
  syncfs(fd: number): Promise<void>;
  /** umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW), thread "disk". */
  detachMount(path: string): Promise<void>;
  /** One datagram to a unix socket, a path or "@name" of an abstract one; thread "net". For systemd's notify socket. */
  sendDatagram(address: string, text: string): Promise<void>;
  getrlimit(resource: number): { soft: bigint; hard: bigint };
  /** PR_SET_DUMPABLE 0: registry passwords never end in a core file. */
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
  /** Fixed, or the kernel gives the bridge the lowest of its ports' and changes it as pods come and go. */
  readonly mac?: string;
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
  /** "veth", "bridge", "" for hardware. */
  readonly kind: string;
  /** Index of its bridge, or 0. */
  readonly master: number;
  readonly mac: string;
  readonly up: boolean;
}

export interface LinkCounters {
  readonly name: string;
  readonly rxBytes: bigint;
  readonly rxPackets: bigint;
  readonly rxErrors: bigint;
  readonly rxDropped: bigint;
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly txDropped: bigint;
}

/** The path of a file is before + directory + after. */
export interface SharedFile {
  readonly before: string;
  readonly after: string;
  /** Of a file that is longer than the limit comes as much as that, and the rest is not read. */
  readonly cut?: true;
}

export interface TreeUsage {
  /** Of blocks, as du counts them; a file with several links counts in parts. */
  readonly bytes: bigint;
  readonly inodes: bigint;
  /** False: there were more inodes than the limit, or something could not be read. */
  readonly complete: boolean;
}

export type FileOperation = (
  | { readonly op: 'mkdir'; readonly path: string; readonly mode: number }
  | { readonly op: 'rmdir'; readonly path: string }
  /** A directory with all below it, no link followed. E2BIG, half-done, when there are more than `limit` files in it. */
  | { readonly op: 'rmtree'; readonly path: string; readonly limit: number }
  /** A file with this content, whatever was there; not through a link. */
  | { readonly op: 'create'; readonly path: string; readonly data: string; readonly mode: number }
  | { readonly op: 'copy'; readonly path: string; readonly to: string; readonly mode: number; readonly limit: number }
  /** One write(2) to a file that exists. */
  | { readonly op: 'write'; readonly path: string; readonly data: string }
  | { readonly op: 'read'; readonly path: string; readonly limit: number }
  /** Names of the directories in it, one a line, without `.` and `..`. */
  | { readonly op: 'list'; readonly path: string; readonly limit: number }
  /**
   * SIGKILL to every process of this control group, not of those below it. Never to pid 1 or to berthd. `held`: each is
   * first held by a pidfd and looked for in the group again, as its number may be somebody else's by now; not needed where
   * the group is frozen.
   */
  | { readonly op: 'kill'; readonly path: string; readonly held: boolean }
  /**
   * Gives a new directory a project id of its own, which all that is made in it inherits, where the file system keeps
   * books of projects (mounted with prjquota) and nobody has the id: then `projectUsage` costs nothing.
   */
  | { readonly op: 'project'; readonly path: string }
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
