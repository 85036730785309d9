// From root to what the plan says a process may be. Shared by containers and execs.
#pragma once

#include "shim/child.h"
#include "shim/messages.h"

namespace berth {

// Opened while the node's own /proc is in sight, written when everything else is in place.
struct SelfFiles {
  Fd oom_score;
  Fd apparmor;
  Fd selinux;
};

// Session, keyring, affinity, priority: nothing of whoever started us stays.
void start_cleanly();
bool open_self_files(const berth_shim_Process& process, bool reset_oom_score, SelfFiles& files, Fault& fault);
bool confine(const berth_shim_Process& process, SelfFiles& files, ChildPage& page);

}  // namespace berth
