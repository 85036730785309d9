#pragma once

#include <string_view>

#include "shim/child.h"
#include "shim/user_namespace.h"

namespace berth {

// Whose pid namespace a container is in: with others in it that can look at who comes, its process is the second of two
// (launch_pad.h).
enum class Pids { kNew, kNodes, kOthers };

struct ContainerLaunch {
  ChildFds fds;  // extra: a pidfd of pause
  ChildPage* page;
  std::string_view plan;  // an encoded ContainerPlan
  bool tty;
  bool reset_oom_score;
  Pids pids;
  // With a user namespace: pause in the node's pid namespace, and where the pod's ids lie. Of a new pid namespace a
  // second child takes over, which is born in it.
  bool own_users;
  pid_t pause_pid;
  IdRange uids, gids;
};

// A container's first process from clone to execve. Stages, in order, as drawn in native/protocol/README.md.
[[noreturn]] void run_container_child(const ContainerLaunch& launch);

}  // namespace berth
