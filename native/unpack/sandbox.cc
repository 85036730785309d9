#include "unpack/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace berth::unpack {
namespace {

// SYS_ADMIN is for trusted.overlay.*; the system calls that make it dangerous are filtered.
constexpr uint64_t kKept = uint64_t{1} << CAP_CHOWN | uint64_t{1} << CAP_DAC_OVERRIDE | uint64_t{1} << CAP_FOWNER |
                           uint64_t{1} << CAP_FSETID | uint64_t{1} << CAP_MKNOD | uint64_t{1} << CAP_SETFCAP |
                           uint64_t{1} << CAP_SYS_ADMIN;

constexpr rlim_t kMaxMemory = rlim_t{2} << 30;

bool drop_capabilities(Failure* failure) {
  for (int capability = 0; capability < 64; capability++) {
    if ((kKept >> capability & 1) != 0) continue;
    // EINVAL: beyond the last capability of this kernel.
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) {
      return failure->set_errno("drop a capability from the bounding set");
    }
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; i++) {
    data[i].effective = data[i].permitted = static_cast<uint32_t>(kKept >> (32 * i));
  }
  return syscall(SYS_capset, &header, data) == 0 || failure->set_errno("drop capabilities");
}

bool set_limit(__rlimit_resource resource, rlim_t value) {
  const rlimit limit = {value, value};
  return setrlimit(resource, &limit) == 0;
}

}  // namespace

bool enter_sandbox(int destination, Failure* failure) {
  umask(0);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  if (!set_limit(RLIMIT_CORE, 0) || !set_limit(RLIMIT_AS, kMaxMemory)) return failure->set_errno("set limits");
  // Before anything else is at stake: from here on no process of ours can be traced or read by a lesser one.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failure->set_errno("make undumpable");
  if (unshare(CLONE_NEWNET) != 0) return failure->set_errno("leave the network");
  if (setgroups(0, nullptr) != 0) return failure->set_errno("drop groups");
  if (fchdir(destination) != 0) return failure->set_errno("enter the destination");
  if (chroot(".") != 0 || chdir("/") != 0) return failure->set_errno("change the root");
  // An open directory outside the root would be a way out.
  close(destination);
  if (!drop_capabilities(failure)) return false;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failure->set_errno("refuse new privileges");
  return true;
}

}  // namespace berth::unpack
