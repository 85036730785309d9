// The pod: its pause process, its cgroup, its end.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "common/fd.h"
#include "common/owned.h"
#include "shim/child.h"
#include "shim/connection.h"
#include "shim/loop.h"
#include "shim/user_namespace.h"

namespace berth {

// none --StartPod--> starting --> running --Shutdown--> ending. A start that fails goes back to none.
enum class PodPhase { kNone, kStarting, kRunning, kEnding, kEnded };

struct PodModes {
  berth_shim_NsMode net, ipc, pid, uts;
};

struct Pod {
  struct Sync : Watch {
    Shim* shim = nullptr;
  };
  struct Timer : Deadline {
    Shim* shim = nullptr;
  };

  PodPhase phase = PodPhase::kNone;
  PodModes modes = {};
  bool own_users = false;  // it has a user namespace, with these ids
  IdRange uids, gids;
  pid_t pause_pid = 0;  // 0: not there (any more)
  Fd pause;             // pidfd: the door to the pod's namespaces
  Fd null;              // O_PATH: the pod's null device
  Fd table;             // where containers begin that share the pod's pid namespace; empty: pause's mount namespace
  bool oom_score_set = false;
  OwnedText cgroup_dirs[8];
  int cgroup_dir_count = 0;
  CallRef start_call;
  CallRef shutdown_call;
  // While pause sets itself up.
  Shared<ChildPage> page;
  Fd sync_fd;
  Sync sync;
  Timer timer;
};

void start_pod(Shim& shim, CallRef call, std::string_view body);
void shutdown_pod(Shim& shim, CallRef call);
// Told of every process that has ended while the pod ends: does the next step when nothing is left.
void shutdown_progress(Shim& shim);
void pause_exited(Shim& shim, pid_t pid);
void get_state(Shim& shim, CallRef call);

}  // namespace berth
