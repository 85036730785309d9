#include "shim/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/text.h"
#include "shim/kernel.h"
#include "shim/user_namespace.h"

namespace berth {
namespace {

constexpr IdRange kSomeIds = {.host = 100'000, .length = 1};

Fd user_namespace_of(pid_t pid) {
  Text<48> path("/proc/");
  path.add_number(pid).add("/ns/user");
  return Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

bool tmpfs_takes_ids_of(int user_namespace) {
  const Fd fs = kernel::fs_open("tmpfs");
  if (!fs || !kernel::fs_create(fs.get())) return false;
  const Fd tree = kernel::fs_mount(fs.get(), 0);
  return tree && map_tree(tree.get(), user_namespace, false);
}

}  // namespace

bool can_map_users() {
  const pid_t holder = clone_child(CLONE_NEWUSER);
  if (holder < 0) return false;
  if (holder == 0) {
    for (;;) pause();
  }
  const Fd users = write_id_maps(holder, kSomeIds, kSomeIds) ? user_namespace_of(holder) : Fd();
  const bool can = users && tmpfs_takes_ids_of(users.get());
  kill(holder, SIGKILL);
  waitpid(holder, nullptr, __WALL);
  return can;
}

}  // namespace berth
