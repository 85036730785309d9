// From root to what the plan says a process may be. Shared by containers and execs.
#pragma once

#include "shim/child.h"
#include "shim/messages.h"
#include "shim/user_namespace.h"

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
// Before a user namespace is entered, from where the node's limits and the streams' owners are out of reach.
void leave_nodes_marks(const berth_shim_Process& process, const IdRange& uids, SelfFiles& files, ChildPage& page);
bool confine(const berth_shim_Process& process, SelfFiles& files, ChildPage& page);

}  // namespace berth
