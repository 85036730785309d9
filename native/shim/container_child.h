#pragma once

#include <string_view>

#include "shim/child.h"
#include "shim/user_namespace.h"

namespace berth {

struct ContainerLaunch {
  ChildFds fds;  // extra: a pidfd of pause
  ChildPage* page;
  std::string_view plan;  // an encoded ContainerPlan
  bool tty;
  bool reset_oom_score;
  // With a user namespace: pause in the node's pid namespace, where the pod's ids lie, and whether a second child in a
  // pid namespace of its own takes over.
  bool own_users;
  pid_t pause_pid;
  IdRange uids, gids;
  bool new_pids;
};

// A container's first process from clone to execve. Stages, in order, as drawn in native/protocol/README.md.
[[noreturn]] void run_container_child(const ContainerLaunch& launch);

}  // namespace berth
