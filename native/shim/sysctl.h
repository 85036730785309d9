// Writes kernel parameters of the namespaces the calling process is in.
#pragma once

#include <cstddef>

#include "shim/fault.h"
#include "shim/messages.h"

namespace berth {

// Which namespaces are not the node's.
struct SysctlAllowed {
  bool net = false;
  bool ipc = false;
  bool uts = false;
};

// `trusted`: where a procfs lies that nobody can have mounted anything over; else one is made.
bool write_sysctls(const berth_shim_Sysctl* sysctls, size_t count, SysctlAllowed allowed, Fault& fault,
                   const char* trusted = nullptr);

}  // namespace berth
