// Every loop of Node, in whatever thread and however early, makes its epoll instance by this function instead of the C
// library's (common/apart_epoll.h). Node aborts when an instance has no watch left, so no loop may be forgotten, and
// nothing of ours runs before the first is made.
#include <stdlib.h>

#include <atomic>

#include "common/apart_epoll.h"

namespace {

std::atomic<uint32_t> chosen = 0;  // one for the process, so that it is one user more to the kernel
std::atomic<int> refused = 0;

uint32_t own_uid() {
  uint32_t uid = chosen.load();
  if (uid != 0) return uid;
  const uint32_t mine = berth::secret_uid();
  return chosen.compare_exchange_strong(uid, mine) ? mine : uid;
}

// Of no use to a program that berthd starts.
[[gnu::constructor]] void leave_no_trace() {
  unsetenv("LD_PRELOAD");
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] int epoll_create1(int flags) noexcept {
  int refusal = 0;
  const int epoll = berth::epoll_create_apart(own_uid(), flags, refusal);
  if (refusal != 0) refused.store(refusal);
  return epoll;
}

// For the addon: 0, or why some instance is not apart (errno).
[[gnu::visibility("default")]] int berth_epoll_refusal() {
  return refused.load();
}
}
