// The process that holds a pod's namespaces.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "floor/cgroups.h"

namespace floor_bench {

struct Pod {
  pid_t pid;
  int channel;  // to the process; closing it does not end it
};

// Clones the process into namespaces of its own: net (unless the node's), ipc, uts, mnt.
Pod start_pod(const Hierarchies& hierarchies, const char* group, bool own_network);
// Lets it set itself up, network included, and waits until it has.
void finish_pod(const Pod& pod, uint32_t address, uint32_t gateway, int prefix);
int open_namespace(pid_t pid, const char* kind);

}  // namespace floor_bench
