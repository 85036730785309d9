// From root to what the plan says a process may be. Shared by containers and execs.
#pragma once

#include "shim/child.h"
#include "shim/messages.h"
#include "shim/seccomp_passage.h"
#include "shim/user_namespace.h"

namespace berth {

// Opened while the node's own /proc is in sight.
struct SelfFiles {
  Fd oom_score;
};

// Session, keyring, affinity, priority: nothing of whoever started us stays.
void start_cleanly();
// Labels for the coming execve are written here: the kernel takes them only from the process that opened the file (its
// memory, to be exact), and they are inherited by whoever that clones.
bool open_self_files(const berth_shim_Process& process, bool reset_oom_score, SelfFiles& files, Fault& fault);
// Before a user namespace is entered, from where the node's limits and the streams' owners are out of reach.
void leave_nodes_marks(const berth_shim_Process& process, const IdRange& uids, SelfFiles& files, ChildPage& page);

// What the first half leaves to the second.
struct Confinement {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  bool enter_directory = false;  // once more, as the user
};
// Limits, directory, bounding set: all that needs the node's /proc or takes memory.
bool confine(const berth_shim_Process& process, SelfFiles& files, Confinement& left, ChildPage& page);
std::string_view filter_of(const berth_shim_Process& process);
// Filter, user, capabilities.
bool confine_at_last(const berth_shim_Process& process, const Confinement& left, const Filter& filter, ChildPage& page);

}  // namespace berth
