// A container's process: everything between clone and execve.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include "floor/cgroups.h"

namespace floor_bench {

struct ContainerPlan {
  const Hierarchies* hierarchies;
  const char* group;
  const char* directory;  // with layer/, upper/, work/ and merged/
  pid_t pod;              // whose net, ipc and uts are joined
  bool own_network;
  sock_fprog filter;
};

struct Container {
  pid_t pid;
  int channel;
};

// Gives the process when it waits before execve.
Container create_container(const ContainerPlan& plan);
// Gives back when execve has happened.
void start_container(const Container& container);

}  // namespace floor_bench
