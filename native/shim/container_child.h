#pragma once

#include <string_view>

#include "shim/child.h"

namespace berth {

struct ContainerLaunch {
  ChildFds fds;  // extra: a pidfd of pause
  ChildPage* page;
  std::string_view plan;  // an encoded ContainerPlan
  bool tty;
  bool reset_oom_score;
};

// A container's first process from clone to execve. Stages, in order, as drawn in native/protocol/README.md.
[[noreturn]] void run_container_child(const ContainerLaunch& launch);

}  // namespace berth
