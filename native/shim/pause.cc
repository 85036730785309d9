#include "shim/pause.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/memory.h"
#include "common/text.h"
#include "shim/kernel.h"
#include "shim/null_device.h"
#include "shim/seccomp_pause.h"
#include "shim/sysctl.h"
#include "shim/user_namespace.h"

extern "C" char __init_array_start[];  // by the linker: in the first page of writable data

namespace berth {
namespace {

constexpr uid_t kPauseId = 65535;

bool set_up_namespaces(const PauseLaunch& launch) {
  const berth_shim_StartPod& plan = *launch.plan;
  Fault& fault = launch.page->fault;
  enter_stage(*launch.page, Stage::kNamespaces);
  if (plan.net == berth_shim_NsMode_NS_POD && setns(kExtraFd, CLONE_NEWNET) != 0) {
    return fault.kernel("setns", "net", errno);
  }
  close(kExtraFd);
  const std::string_view hostname = view_of(plan.hostname);
  const bool own_uts = plan.uts == berth_shim_NsMode_NS_POD;
  if (own_uts && !hostname.empty() && sethostname(hostname.data(), hostname.size()) != 0) {
    return fault.kernel("sethostname", hostname, errno);
  }
  const SysctlAllowed allowed = {
      .net = plan.net != berth_shim_NsMode_NS_HOST, .ipc = plan.ipc == berth_shim_NsMode_NS_POD, .uts = own_uts};
  return write_sysctls(plan.sysctls, plan.sysctls_count, allowed, fault);
}

// The node's /dev/null, known by what it is and not by its name: for a pod whose users may not make a device. They may
// not change its inode either, which belongs to nobody they have.
Fd nodes_null() {
  Fd tree = kernel::open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE);
  if (!tree || is_null_device(tree.get())) return tree;
  errno = ENODEV;
  return Fd();
}

bool make_null(Fault& fault) {
  if (mknod(kPodNull, S_IFCHR | 0666, makedev(1, 3)) == 0) return true;
  const int error = errno;
  fault.refuse(FaultKind::kKernel, "mknod", "/dev/null", "this node's device cgroup lets no device be made");
  fault.error = error;
  return false;
}

// The pod's null device on a mount of its own: read-only, which protects the inode and not what is written to the
// device, and the one mount here that lets a device be opened.
bool place_null(const Fd& nodes, Fault& fault) {
  Fd own;
  if (!nodes && make_null(fault)) own = kernel::open_tree(AT_FDCWD, kPodNull, OPEN_TREE_CLONE);
  if (!nodes && !own) return fault.error != 0 ? false : fault.kernel("open_tree", kPodNull, errno);
  const Fd& tree = nodes ? nodes : own;
  constexpr uint64_t kSet = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  if (nodes) (void)Fd(open(kPodNull, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444));
  if (!kernel::set_mount(tree.get(), 0, kSet, nodes ? 0 : MOUNT_ATTR_NODEV, 0)) {
    return fault.kernel("mount_setattr", kPodNull, errno);
  }
  return kernel::attach_at(tree.get(), kPodNull) ? true : fault.kernel("mount", kPodNull, errno);
}

Fd empty_tmpfs() {
  const Fd fs = kernel::fs_open("tmpfs");
  if (!fs || !kernel::fs_set(fs.get(), "source", "berth-pod") || !kernel::fs_set(fs.get(), "mode", "0755") ||
      !kernel::fs_set(fs.get(), "size", "64k") || !kernel::fs_create(fs.get())) {
    return Fd();
  }
  return kernel::fs_mount(fs.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

bool make_directories(Fault& fault) {
  for (const char* path : {kPodRoot, kPodLayers, kPodStore, kPodMask, kPodShm, kPodProc, kPodSys}) {
    if (mkdir(path, 0755) != 0) return fault.kernel("mkdir", path, errno);
  }
  return true;
}

bool mount_shm(uint64_t bytes, Fault& fault) {
  if (bytes == 0) return true;
  Text<64> options("mode=1777,size=");
  options.add_number(static_cast<int64_t>(bytes));
  if (mount("shm", kPodShm, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) == 0) return true;
  return fault.kernel("mount", "/dev/shm", errno);
}

struct KernelViews {
  Fd proc, sys;
};

// While the node's are in sight.
bool make_views(const PauseLaunch& launch, KernelViews& views) {
  const bool users = launch.plan->user == berth_shim_NsMode_NS_POD;
  if (!users && launch.plan->pid != berth_shim_NsMode_NS_POD) return true;
  views.proc = kernel::fs_view("proc");
  if (!views.proc) return launch.page->fault.kernel("mount", "/proc", errno);
  if (!users) return true;
  views.sys = kernel::fs_view("sysfs");
  return views.sys ? true : launch.page->fault.kernel("mount", "/sys", errno);
}

bool place_views(const KernelViews& views, Fault& fault) {
  const struct {
    const Fd& view;
    const char* at;
  } places[] = {{views.proc, kPodProc}, {views.sys, kPodSys}};
  for (const auto& place : places) {
    if (!place.view) continue;
    if (!kernel::attach_at(place.view.get(), place.at)) {
      return fault.kernel("mount", place.at, errno);
    }
  }
  return true;
}

// A mount table of our own with next to nothing in it: containers start from a copy of it instead of copying the
// node's, and the pod's /dev/shm lives here and not in the node's table.
bool move_into_empty_root(const PauseLaunch& launch) {
  Fault& fault = launch.page->fault;
  enter_stage(*launch.page, Stage::kPivot);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return fault.kernel("mount", "/", errno);
  Fd null;
  if (launch.plan->user == berth_shim_NsMode_NS_POD && !(null = nodes_null())) {
    return fault.kernel("open_tree", "/dev/null", errno);
  }
  KernelViews views;
  if (!make_views(launch, views)) return false;
  const Fd root = empty_tmpfs();
  if (!root) return fault.kernel("mount", "tmpfs", errno);
  if (!kernel::attach_at(root.get(), "/") || fchdir(root.get()) != 0 || !kernel::pivot_here() ||
      umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
    return fault.kernel("pivot_root", "/", errno);
  }
  umask(0);
  if (!make_directories(fault) || !mount_shm(launch.plan->shm_bytes, fault) || !place_views(views, fault)) return false;
  if (!place_null(null, fault)) return false;
  constexpr unsigned long kSealed = MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount(nullptr, "/", nullptr, kSealed, nullptr) != 0) return fault.kernel("remount", "/", errno);
  return true;
}

// Our procfs is not masked, and a container that may trace reaches our root: so it stays in a table that only the shim
// has, and we go on in a copy without it. Other users may not look into us (we were forked by the node's root), and the
// kernel wants it in their sight.
bool leave_procfs(const berth_shim_StartPod& plan, Fault& fault) {
  if (plan.user == berth_shim_NsMode_NS_POD || plan.pid != berth_shim_NsMode_NS_POD) return true;
  const Fd table(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!table || !send_word(kSaysTable, table.get())) return fault.kernel("mount", "table", errno);
  if (unshare(CLONE_NEWNS) != 0) return fault.kernel("unshare", "mount", errno);
  return umount2(kPodProc, MNT_DETACH) == 0 ? true : fault.kernel("umount", kPodProc, errno);
}

// A user namespace may be smaller than usual.
uint32_t pause_id(const berth_shim_StartPod& plan, const berth_shim_IdMap* maps) {
  const bool small = plan.user == berth_shim_NsMode_NS_POD && maps[0].length <= kPauseId;
  return small ? maps[0].length - 1 : kPauseId;
}

bool drop_everything(const berth_shim_StartPod& plan, Shared<ChildPage>& page) {
  Fault& fault = page->fault;
  enter_stage(*page, Stage::kConfine);
  const uid_t uid = pause_id(plan, plan.uid_maps);
  const gid_t gid = pause_id(plan, plan.gid_maps);
  if (setgroups(0, nullptr) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) {
    return fault.kernel("setuid", "pause", errno);
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) return fault.kernel("capset", "pause", errno);
  // Zombies that become ours when their parents die are reaped by the kernel. Every signal is blocked: only SIGKILL
  // from outside, which is how the shim ends us, has an effect.
  signal(SIGCHLD, SIG_IGN);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NAME, "berth-pause");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fault.kernel("prctl", "no_new_privs", errno);
  // The page goes before the filter comes: what a refused filter would have to say is said in advance.
  fault.kernel("seccomp", "pause", EINVAL);
  page.reset();
  return true;
}

long address_of(const void* object) {
  return reinterpret_cast<long>(object);
}

// A pod's pause lives as long as the pod and needs nothing of what it was forked with: it keeps the page with the
// arguments, and otherwise only its code and constants, which all pods share. From the first madvise on there is no
// stack to return on, no errno, no stack protector's value and no function of the C library.
[[noreturn, gnu::no_stack_protector]] void rest() {
  static constexpr uint64_t kEverySignal = ~uint64_t{0};
  // The kernel writes into the thread's block at every turn while this is registered.
  constexpr long kRseqBytes = 32;
  kernel::bare(SYS_rseq, address_of(__builtin_thread_pointer()) + __rseq_offset, kRseqBytes, RSEQ_FLAG_UNREGISTER,
               RSEQ_SIG);
  const long data = static_cast<long>(page_start(reinterpret_cast<uintptr_t>(__init_array_start)));
  const long data_bytes = address_of(sbrk(0)) - data;  // with the heap; what lies between them is not mapped
  const long stack_end = static_cast<long>(arguments_page());
  const long stack = stack_end - static_cast<long>(kStackReach);
  if constexpr (!kSanitized) {
    kernel::bare(SYS_madvise, data, data_bytes, MADV_DONTNEED);
    kernel::bare(SYS_madvise, stack, kStackReach, MADV_DONTNEED);
  }
  if (kernel::bare(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, address_of(&kPauseFilter)) != 0) {
    kernel::bare(SYS_write, kSyncFd, address_of(&kSaysFailed), 1);
    kernel::bare(SYS_exit_group, 1);
  }
  if (kernel::bare(SYS_write, kSyncFd, address_of(&kSaysReady), 1) != 1) kernel::bare(SYS_exit_group, 1);
  kernel::bare(SYS_close, kSyncFd);
  for (;;) kernel::bare(SYS_rt_sigsuspend, address_of(&kEverySignal), sizeof kEverySignal);
}

}  // namespace

void run_pause(const PauseLaunch& launch) {
  const ChildFds fds = {.sync = launch.sync, .extra = launch.net_namespace};
  if (!take_fds_only(fds, launch.page->fault)) child_failed(*launch.page);
  setsid();
  if (!set_up_namespaces(launch) || !move_into_empty_root(launch) || !leave_procfs(*launch.plan, launch.page->fault)) {
    child_failed(*launch.page);
  }
  for (int fd = 0; fd < kSyncFd; fd++) close(fd);
  if (!drop_everything(*launch.plan, launch.page)) child_failed(*launch.page);
  rest();
}

void run_first_pause(const PauseLaunch& launch, uint64_t namespaces) {
  const ChildFds fds = {.sync = launch.sync};
  if (!take_fds_only(fds, launch.page->fault)) child_failed(*launch.page);
  char word = 0;
  if (read(kSyncFd, &word, 1) != 1 || word != kSaysGo) _exit(1);  // the shim could not say who we are
  if (!become_root_inside(launch.page->fault)) child_failed(*launch.page);
  PauseLaunch second = launch;
  second.sync = kSyncFd;
  const pid_t pid = clone_second(*launch.page, namespaces);
  if (pid == 0) run_pause(second);
  if (pid > 0) _exit(0);
  launch.page->fault.kernel("clone", "pause", errno);
  child_failed(*launch.page);
}

}  // namespace berth
