/**
 * What RuntimeDefault allows. Everything not named here fails with EPERM, so that a program sees a refusal it knows; clone3
 * fails with ENOSYS, so that a libc falls back to clone, whose flags a filter can read.
 *
 * The lists follow what users of the field's default profiles rely on: a workload that runs under those runs here.
 */

/** Calls that are harmless in a container's namespaces, by what they are about. */
const files = `
  access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
  fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr
  file_getattr file_setattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
  ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init
  inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr _llseek
  lremovexattr lseek lsetxattr lstat lstat64 memfd_create memfd_secret mkdir mkdirat mknod mknodat name_to_handle_at
  newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
  readv removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat
  stat64 statfs statfs64 statmount listmount statx symlink symlinkat sync sync_file_range syncfs tee truncate
  truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
  io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit cachestat`;

const processes = `
  alarm capget capset execve execveat exit exit_group fork getegid getegid32 geteuid geteuid32 getgid getgid32
  getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid getresuid32
  getrlimit getrusage getsid gettid getuid getuid32 ioprio_get ioprio_set kill landlock_add_rule
  landlock_create_ruleset landlock_restrict_self lsm_get_self_attr lsm_list_modules lsm_set_self_attr nice
  pidfd_open pidfd_send_signal pidfd_getfd prctl arch_prctl prlimit64 process_madvise process_mrelease
  process_vm_readv process_vm_writev ptrace rseq sched_getaffinity sched_getattr sched_getparam sched_get_priority_max
  sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
  sched_setattr sched_setparam sched_setscheduler sched_yield seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid
  setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32
  setreuid setreuid32 setrlimit setsid setuid setuid32 set_robust_list get_robust_list set_thread_area
  get_thread_area set_tid_address sysinfo times ugetrlimit uname vfork wait4 waitid waitpid getcpu modify_ldt`;

const memory = `
  brk madvise map_shadow_stack mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall
  munmap membarrier pkey_alloc pkey_free pkey_mprotect remap_file_pages`;

const signalsAndWaiting = `
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
  eventfd2 pause pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select _newselect restart_syscall
  rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signal signalfd signalfd4 sigprocmask sigreturn sigaction
  sigpending sigsuspend tgkill tkill`;

const time = `
  clock_adjtime_readonly clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
  clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun
  timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
  timerfd_settime timerfd_settime64 adjtimex clock_adjtime clock_adjtime64`;

const sync = `futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake`;

const ipc = `
  ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
  msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`;

const network = `
  accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
  send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`;

const random = `getrandom riscv_hwprobe uretprobe`;

/** Calls that only 32-bit ARM has: a process of that kind needs them to be loaded and to have threads. */
const ofArm = `arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2`;

const words = (text: string): string[] =>
  text.split(/\s+/).filter((word) => word !== '' && !word.endsWith('_readonly'));

export const alwaysAllowed: readonly string[] = [
  files,
  processes,
  memory,
  signalsAndWaiting,
  time,
  sync,
  ipc,
  network,
  random,
].flatMap(words);

export const allowedByArchitecture: Readonly<Record<string, readonly string[]>> = {
  SCMP_ARCH_ARM: words(ofArm),
};

/** Calls a capability opens: whoever holds it was given it on purpose. */
export const allowedByCapability: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_SYS_ADMIN: words(`
    bpf clone clone3 fanotify_init fanotify_mark fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr
    move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog
    umount umount2 unshare`),
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_MODULE: ['delete_module', 'init_module', 'finit_module'],
  CAP_SYS_PACCT: ['acct'],
  CAP_SYS_PTRACE: ['kcmp'],
  CAP_SYS_RAWIO: ['iopl', 'ioperm'],
  CAP_SYS_TIME: ['settimeofday', 'stime', 'clock_settime', 'clock_settime64'],
  CAP_SYS_TTY_CONFIG: ['vhangup'],
  CAP_SYS_NICE: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node', 'migrate_pages', 'move_pages'],
  CAP_SYSLOG: ['syslog'],
  CAP_BPF: ['bpf'],
  CAP_PERFMON: ['perf_event_open'],
};

/** clone(2) flags that make a namespace: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
export const cloneNamespaceFlags = 0x7e020000n;

/** personality(2) values that programs ask for: Linux, query, UNAME26, both, and 32-bit flavours. */
export const allowedPersonalities: readonly bigint[] = [0x0n, 0x8n, 0x20000n, 0x20008n, 0xffffffffn];

/** AF_VSOCK reaches the hypervisor past every network namespace. */
export const afVsock = 40n;
