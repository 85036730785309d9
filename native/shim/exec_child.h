#pragma once

#include <string_view>

#include "shim/child.h"
#include "shim/user_namespace.h"

namespace berth {

struct ExecLaunch {
  ChildFds fds;  // extra: a pidfd of the container's init
  ChildPage* page;
  std::string_view process;      // an encoded Process
  std::string_view cgroup_dirs;  // an encoded ContainerPlan with nothing but these
  std::string_view kill_dir;     // entered at `leaf` below it instead
  bool kill_dir_v2;
  const char* leaf;
  bool tty;
  bool reset_oom_score;
  bool own_users;  // the pod has a user namespace
  IdRange uids;
};

[[noreturn]] void run_exec_child(const ExecLaunch& launch);

}  // namespace berth
