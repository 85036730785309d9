// vfork + execveat: 0.1 ms whatever the size of Node's heap, where a fork copies its page tables.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "addon/failure.h"

namespace berth::addon {

struct SpawnRequest {
  std::string path;
  int executable_fd = -1;
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string cwd;
  int cwd_fd = -1;
  // Child's fd n is our fd fds[n]; -1 leaves n closed.
  std::vector<int> fds;
};

struct Spawned {
  pid_t pid;
  int pidfd;
};

inline constexpr size_t spawn_fd_limit = 64;

Result<Spawned> spawn(const SpawnRequest& request);

}  // namespace berth::addon
