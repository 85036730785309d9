#include "addon/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

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

Result<int> socket_in_netns(int netns_fd, int family) {
  Result<NetnsVisit> visit = NetnsVisit::enter(netns_fd);
  if (!visit) return visit.failure();
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail("socket", family == AF_INET ? "IPv4" : "IPv6");
  return fd;
}

Done bind_netns(int netns_fd, const std::string& path) {
  // Exclusive: whatever lies there may be the namespace of another pod.
  const Fd file(open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444));
  if (!file) return fail("open", path);
  const std::string source = "/proc/self/fd/" + std::to_string(netns_fd);
  if (mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0) return Nothing{};
  const Failure failure = fail("mount", path);
  (void)unlink(path.c_str());
  return failure;
}

bool valid_setting(const std::string& path) {
  if (path.rfind("net/", 0) != 0 || path.back() == '/') return false;
  for (const char* step : {"//", "/./", "/../"}) {
    if ((path + "/").find(step) != std::string::npos) return false;
  }
  return true;
}

// What lies below /proc/sys/net is of the namespace of the thread that opens it.
Done write_settings(int netns_fd, const std::vector<Setting>& settings) {
  Result<NetnsVisit> visit = NetnsVisit::enter(netns_fd);
  if (!visit) return visit.failure();
  for (const Setting& setting : settings) {
    const std::string path = "/proc/sys/" + setting.path;
    const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return fail("open", path);
    const ssize_t n = write(file.get(), setting.value.data(), setting.value.size());
    if (n != static_cast<ssize_t>(setting.value.size()))
      return n < 0 ? fail("write", path) : fail_with(EIO, "write", path);
  }
  return Nothing{};
}

}  // namespace berth::addon
