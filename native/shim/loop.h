// One epoll loop with deadlines. Nothing called from it may block.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "common/fd.h"

namespace berth {

// Something the loop watches. Whoever embeds a Watch knows its own type in `on_ready`.
struct Watch {
  using Ready = void (*)(Watch& watch, uint32_t events);
  Ready on_ready = nullptr;
};

// Fires once when its time has come. Linked into the loop while armed; cancel() before freeing it.
struct Deadline {
  using Expired = void (*)(Deadline& deadline);
  Expired on_expired = nullptr;
  int64_t at_ns = 0;
  bool armed = false;
  Deadline* next = nullptr;
};

class Loop {
 public:
  // False with errno.
  bool open();
  // False with errno, and nothing is watched: memory, or the kernel's count of watches, may be used up.
  [[nodiscard]] bool watch(int fd, Watch& watch, uint32_t events);
  void rewatch(int fd, Watch& watch, uint32_t events);
  void unwatch(int fd);
  // Forgets events of `watch` that were collected in this round but not delivered: call before freeing it.
  void forget(const Watch& watch);
  void arm(Deadline& deadline, int64_t after_ms);
  void cancel(Deadline& deadline);
  // Waits for one round of events (at most `limit_ms`; -1: no limit) and delivers them.
  // False: nothing happened within the limit.
  bool turn(int limit_ms = -1);

 private:
  int wait_ms() const;
  void expire();

  static constexpr int kRound = 16;
  Fd epoll_;
  Deadline* deadlines_ = nullptr;
  epoll_event round_[kRound];
  int round_size_ = 0;
};

int64_t monotonic_ns();
int64_t realtime_ns();

}  // namespace berth
