#include "shim/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "shim/kernel.h"
#include "shim/sysctl_name.h"

namespace berth {
namespace {

// A procfs of our own that nobody has mounted anything over.
Fd private_procfs() {
  Fd mount = kernel::fs_view("proc");
  struct statfs about;
  if (!mount || fstatfs(mount.get(), &about) != 0 || about.f_type != PROC_SUPER_MAGIC) return Fd();
  return mount;
}

bool allowed_in(SysctlScope scope, SysctlAllowed allowed) {
  switch (scope) {
    case SysctlScope::kNet:
      return allowed.net;
    case SysctlScope::kIpc:
      return allowed.ipc;
    case SysctlScope::kUts:
      return allowed.uts;
    case SysctlScope::kNone:
      return false;
  }
  return false;
}

bool write_one(int procfs, std::string_view name, std::string_view value, SysctlAllowed allowed, Fault& fault) {
  Path path;
  if (!sysctl_path(name, path)) {
    return fault.refuse(FaultKind::kBadMessage, "sysctl", name, "the name is not plainly dotted");
  }
  // The last line of defence for the node: berthd has checked this already.
  if (!allowed_in(sysctl_scope(name), allowed)) {
    return fault.refuse(FaultKind::kBadMessage, "sysctl", name, "belongs to no namespace of this pod");
  }
  const Fd file = kernel::open_how(procfs, path.c_str(), O_WRONLY | O_CLOEXEC, 0,
                                   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
  if (!file) return fault.kernel("sysctl", name, errno);
  const ssize_t n = write(file.get(), value.data(), value.size());
  if (n != static_cast<ssize_t>(value.size())) return fault.kernel("sysctl", name, n < 0 ? errno : EIO);
  return true;
}

}  // namespace

bool write_sysctls(const berth_shim_Sysctl* sysctls, size_t count, SysctlAllowed allowed, Fault& fault,
                   const char* trusted) {
  if (count == 0) return true;
  const Fd procfs = trusted == nullptr ? private_procfs() : kernel::open_tree(AT_FDCWD, trusted, OPEN_TREE_CLONE);
  if (!procfs) return fault.kernel("sysctl", "proc", errno);
  for (size_t i = 0; i < count; i++) {
    if (!write_one(procfs.get(), view_of(sysctls[i].name), view_of(sysctls[i].value), allowed, fault)) return false;
  }
  return true;
}

}  // namespace berth
