#include "addon/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

namespace berth::addon {

Result<int> NetnsVisit::open_current() {
  // thread-self: the main thread is elsewhere.
  const char* path = "/proc/thread-self/ns/net";
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("open", path);
  return fd;
}

Result<NetnsVisit> NetnsVisit::enter(int netns_fd) {
  Result<int> home = open_current();
  if (!home) return home.failure();
  Fd owned(*home);
  if (setns(netns_fd, CLONE_NEWNET) < 0) return fail("setns", "network namespace");
  return NetnsVisit(std::move(owned));
}

Result<NetnsVisit> NetnsVisit::create() {
  Result<int> home = open_current();
  if (!home) return home.failure();
  Fd owned(*home);
  if (unshare(CLONE_NEWNET) < 0) return fail("unshare", "network namespace");
  return NetnsVisit(std::move(owned));
}

NetnsVisit::~NetnsVisit() {
  if (!home_ || setns(home_.get(), CLONE_NEWNET) == 0) return;
  (void)fputs("berth addon: cannot return to the machine's network namespace\n", stderr);
  abort();
}

}  // namespace berth::addon
