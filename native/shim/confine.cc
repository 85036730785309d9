#include "shim/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/text.h"
#include "shim/kernel.h"

namespace berth {
namespace {

constexpr int kLastCapability = 63;
constexpr int kIoprioWhoProcess = 1;
constexpr rlim_t kUsualDescriptors = 1024;

uint64_t held_capabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return 0;
  return uint64_t{data[1].permitted} << 32 | data[0].permitted;
}

bool set_capabilities(const Confinement& wanted) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++) {
    data[i].effective = static_cast<uint32_t>(wanted.effective >> 32 * i);
    data[i].permitted = static_cast<uint32_t>(wanted.permitted >> 32 * i);
    data[i].inheritable = static_cast<uint32_t>(wanted.inheritable >> 32 * i);
  }
  return syscall(SYS_capset, &header, data) == 0;
}

bool drop_bounding(uint64_t keep, Fault& fault) {
  for (int i = 0; i <= kLastCapability; i++) {
    if (keep >> i & 1) continue;
    if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return true;  // beyond the last one this kernel has
    return fault.kernel("capabilities", "bounding", errno);
  }
  return true;
}

bool raise_ambient(uint64_t wanted, Fault& fault) {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int i = 0; wanted >> i != 0 && i <= kLastCapability; i++) {
    if ((wanted >> i & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0) {
      return fault.kernel("capabilities", "ambient", errno);
    }
  }
  return true;
}

// As many as the hard limit allows while the container is set up: every volume is held by a descriptor.
void raise_descriptor_limit() {
  rlimit descriptors;
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return;
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
}

// Programs that use select() rely on the usual limit, where the plan does not name another.
void lower_descriptor_limit() {
  rlimit descriptors;
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0 || descriptors.rlim_cur <= kUsualDescriptors) return;
  descriptors.rlim_cur = kUsualDescriptors;
  setrlimit(RLIMIT_NOFILE, &descriptors);
}

// Where a hard limit cannot be raised, it is the one we have, and the plan's author is told.
bool set_rlimits(const berth_shim_Process& process, ChildPage& page) {
  for (pb_size_t i = 0; i < process.rlimits_count; i++) {
    const berth_shim_Rlimit& wanted = process.rlimits[i];
    const auto resource = static_cast<__rlimit_resource>(wanted.resource);
    rlimit limit = {wanted.soft, wanted.hard};
    if (setrlimit(resource, &limit) == 0) continue;
    rlimit have;
    if (errno != EPERM || getrlimit(resource, &have) != 0) {
      return page.fault.kernel("rlimit", Text<24>().add_number(wanted.resource).view(), errno);
    }
    limit.rlim_max = limit.rlim_max < have.rlim_max ? limit.rlim_max : have.rlim_max;
    limit.rlim_cur = limit.rlim_cur < limit.rlim_max ? limit.rlim_cur : limit.rlim_max;
    if (setrlimit(resource, &limit) != 0) {
      return page.fault.kernel("rlimit", Text<24>().add_number(wanted.resource).view(), errno);
    }
    warn(page, "rlimit", wanted.resource, EPERM);
  }
  return true;
}

bool write_self(const Fd& file, std::string_view text) {
  return write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// The directory must be below the root we are in: a descriptor of the node's that was left open must not become a way
// out (the kernel then answers with a path that does not begin with a slash).
bool inside_root() {
  char where[4096];
  return syscall(SYS_getcwd, where, sizeof where) > 0 && where[0] == '/';
}

const char* directory_of(const berth_shim_Process& process) {
  return view_of(process.cwd).empty() ? "/" : process.cwd;
}

enum class Changed { kYes, kDenied, kNo };
Changed change_directory(const char* cwd, Fault& fault) {
  if (chdir(cwd) != 0) {
    if (errno == EACCES) return Changed::kDenied;
    fault.start("chdir", cwd, errno);
    return Changed::kNo;
  }
  if (inside_root()) return Changed::kYes;
  fault.start("chdir", cwd, EXDEV);
  return Changed::kNo;
}

// So that a process that is not root can open /dev/stdout anew. A terminal and /dev/null are not ours to give.
void give_streams(uid_t owner) {
  for (int fd = 0; fd < 3 && owner != 0; fd++) {
    struct stat about;
    if (fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode)) (void)!fchown(fd, owner, about.st_gid);
  }
}

void write_oom_score(const berth_shim_Process& process, SelfFiles& files, ChildPage& page) {
  if (!files.oom_score) return;
  const int score = process.set_oom_score_adj ? process.oom_score_adj : 0;
  if (!write_self(files.oom_score, Text<16>().add_number(score).view())) warn(page, "oom_score_adj", score, errno);
  files.oom_score.reset();
}

bool become(const berth_shim_Process& process, Fault& fault) {
  if (setgroups(process.groups_count, process.groups) != 0) return fault.kernel("setgroups", "", errno);
  if (setresgid(process.gid, process.gid, process.gid) != 0) return fault.kernel("setgid", "", errno);
  if (setresuid(process.uid, process.uid, process.uid) != 0) return fault.kernel("setuid", "", errno);
  return true;
}

// The capabilities of the plan, cut to what we hold.
void allowed(const berth_shim_Process& process, Confinement& left, ChildPage& page) {
  const uint64_t held = held_capabilities();
  const uint64_t missing = process.cap_permitted & ~held;
  for (int i = 0; i <= kLastCapability; i++) {
    if (missing >> i & 1) warn(page, "capability", i, EPERM);
  }
  left.permitted = process.cap_permitted & held;
  left.effective = process.cap_effective & left.permitted;
  left.inheritable = process.cap_inheritable & held;
}

bool label(const char* file, const char* fallback, std::string_view what, std::string_view text) {
  Text<512> line(what);
  if (line.add(text).cut()) {
    errno = ENAMETOOLONG;  // what is left of it may be another one's name
    return false;
  }
  Fd attribute(open(file, O_WRONLY | O_CLOEXEC));
  if (!attribute && fallback != nullptr) attribute = Fd(open(fallback, O_WRONLY | O_CLOEXEC));
  return attribute && write_self(attribute, line.view());
}

// For the coming execve.
bool write_labels(const berth_shim_Process& process, Fault& fault) {
  constexpr char kOnExec[] = "/proc/self/attr/exec";
  const std::string_view profile = view_of(process.apparmor_profile);
  if (!profile.empty() && !label("/proc/self/attr/apparmor/exec", kOnExec, "exec ", profile)) {
    return fault.kernel("apparmor", profile, errno);
  }
  const std::string_view selinux = view_of(process.selinux_label);
  if (!selinux.empty() && !label(kOnExec, nullptr, "", selinux)) return fault.kernel("selinux", selinux, errno);
  return true;
}

}  // namespace

void start_cleanly() {
  setsid();
  // A session keyring of its own; its keys are not those of whoever started the node's daemons. Refusals are tolerated:
  // keyrings are counted per user and may be used up.
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  unsigned long every_cpu[1024 / (8 * sizeof(long))];
  memset(every_cpu, 0xff, sizeof every_cpu);
  syscall(SYS_sched_setaffinity, 0, sizeof every_cpu, every_cpu);  // the kernel cuts it to the cpuset
  if (sched_getscheduler(0) != SCHED_OTHER) {
    const sched_param none = {};
    sched_setscheduler(0, SCHED_OTHER, &none);
  }
  errno = 0;
  if (getpriority(PRIO_PROCESS, 0) != 0) setpriority(PRIO_PROCESS, 0, 0);
  syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, 0);
  raise_descriptor_limit();
}

bool open_self_files(const berth_shim_Process& process, bool reset_oom_score, SelfFiles& files, Fault& fault) {
  if (process.set_oom_score_adj || reset_oom_score) {
    files.oom_score = Fd(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  }
  return write_labels(process, fault);
}

void leave_nodes_marks(const berth_shim_Process& process, const IdRange& uids, SelfFiles& files, ChildPage& page) {
  write_oom_score(process, files, page);
  if (process.uid < uids.length) give_streams(uids.host + process.uid);
}

// The order matters:
//  - limits, scores and the bounding set need capabilities, so they come first;
//  - the directory is entered as root and once more as the user where root was refused (NFS with root_squash);
//  - a filter without no_new_privs needs CAP_SYS_ADMIN, so it is loaded before the capabilities go: what follows
//    (setgroups, setuid, capset, prctl) must be allowed by the profile, as every runtime's is;
//  - with no_new_privs it is loaded last, and the profile need not allow any of that.
bool confine(const berth_shim_Process& process, SelfFiles& files, Confinement& left, ChildPage& page) {
  Fault& fault = page.fault;
  enter_stage(page, Stage::kConfine);
  write_oom_score(process, files, page);
  lower_descriptor_limit();
  if (!set_rlimits(process, page)) return false;
  give_streams(process.uid);
  const Changed changed = change_directory(directory_of(process), fault);
  if (changed == Changed::kNo) return false;
  left.enter_directory = changed == Changed::kDenied;
  allowed(process, left, page);
  if (!drop_bounding(process.cap_bounding, fault)) return false;
  return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 ? true : fault.kernel("prctl", "keepcaps", errno);
}

std::string_view filter_of(const berth_shim_Process& process) {
  if (process.seccomp == nullptr) return {};
  return {reinterpret_cast<const char*>(process.seccomp->bytes), process.seccomp->size};
}

bool confine_at_last(const berth_shim_Process& process, const Confinement& left, const Filter& filter,
                     ChildPage& page) {
  Fault& fault = page.fault;
  if (!process.no_new_privs && !load_filter(filter, fault)) return false;
  if (!become(process, fault)) return false;
  if (!set_capabilities(left)) return fault.kernel("capset", "", errno);
  if (!raise_ambient(process.cap_ambient & left.permitted & left.inheritable, fault)) return false;
  prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  if (left.enter_directory && change_directory(directory_of(process), fault) != Changed::kYes) {
    return fault.error != 0 ? false : fault.start("chdir", directory_of(process), EACCES);
  }
  umask(process.umask & 0777);
  if (!process.no_new_privs) return true;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fault.kernel("prctl", "no_new_privs", errno);
  return load_filter(filter, fault);
}

}  // namespace berth
