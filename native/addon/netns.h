// Visits to other network namespaces, of one thread that always comes home.
#pragma once

#include <string>
#include <vector>

#include "addon/failure.h"
#include "common/fd.h"

namespace berth::addon {

// In the namespace `netns_fd` until destroyed. Being unable to return ends the process: later work of this thread
// would change the links of some pod instead of the machine's.
class NetnsVisit {
 public:
  static Result<NetnsVisit> enter(int netns_fd);
  // A new namespace.
  static Result<NetnsVisit> create();
  NetnsVisit(NetnsVisit&&) noexcept = default;
  NetnsVisit& operator=(NetnsVisit&&) = delete;
  ~NetnsVisit();

  // The namespace the thread is in now.
  static Result<int> open_current();

 private:
  explicit NetnsVisit(Fd home) : home_(std::move(home)) {}
  Fd home_;
};

// Gives the namespace a file at `path`, which must not be there yet: a bind mount that keeps it alive. Leaves nothing
// on failure.
Done bind_netns(int netns_fd, const std::string& path);

// A TCP socket of that namespace, not blocking. `family` is AF_INET or AF_INET6.
Result<int> socket_in_netns(int netns_fd, int family);

// Settings of that namespace, in order: `path` is below /proc/sys and begins with net/. Ends with the first that fails.
struct Setting {
  std::string path, value;
};
Done write_settings(int netns_fd, const std::vector<Setting>& settings);
// Whether it is a file below /proc/sys/net and nowhere else.
bool valid_setting(const std::string& path);

}  // namespace berth::addon
