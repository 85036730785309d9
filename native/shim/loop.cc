#include "shim/loop.h"

#include <time.h>

#include "common/apart_epoll.h"

namespace berth {
namespace {

int64_t now_ns(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

int64_t monotonic_ns() {
  return now_ns(CLOCK_MONOTONIC);
}
int64_t realtime_ns() {
  return now_ns(CLOCK_REALTIME);
}

bool Loop::open() {
  // Where that is refused, it is one like any other's: a node whose containers have no root is as safe with it.
  int refusal = 0;
  epoll_ = Fd(epoll_create_apart(secret_uid(), EPOLL_CLOEXEC, refusal));
  return static_cast<bool>(epoll_);
}

bool Loop::watch(int fd, Watch& watch, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = &watch;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Loop::rewatch(int fd, Watch& watch, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = &watch;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::unwatch(int fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::forget(const Watch& watch) {
  for (int i = 0; i < round_size_; i++) {
    if (round_[i].data.ptr == &watch) round_[i].data.ptr = nullptr;
  }
}

void Loop::arm(Deadline& deadline, int64_t after_ms) {
  cancel(deadline);
  deadline.at_ns = monotonic_ns() + after_ms * 1'000'000;
  deadline.armed = true;
  deadline.next = deadlines_;
  deadlines_ = &deadline;
}

void Loop::cancel(Deadline& deadline) {
  if (!deadline.armed) return;
  deadline.armed = false;
  for (Deadline** at = &deadlines_; *at != nullptr; at = &(*at)->next) {
    if (*at != &deadline) continue;
    *at = deadline.next;
    return;
  }
}

int Loop::wait_ms() const {
  if (deadlines_ == nullptr) return -1;
  int64_t first = deadlines_->at_ns;
  for (const Deadline* at = deadlines_; at != nullptr; at = at->next) {
    if (at->at_ns < first) first = at->at_ns;
  }
  const int64_t left = first - monotonic_ns();
  if (left <= 0) return 0;
  const int64_t ms = (left + 999'999) / 1'000'000;
  return ms > 3'600'000 ? 3'600'000 : static_cast<int>(ms);
}

void Loop::expire() {
  if (deadlines_ == nullptr) return;
  const int64_t now = monotonic_ns();
  // An expired deadline may arm and cancel others: start over after each.
  for (Deadline* at = deadlines_; at != nullptr;) {
    if (at->at_ns > now) {
      at = at->next;
      continue;
    }
    cancel(*at);
    at->on_expired(*at);
    at = deadlines_;
  }
}

bool Loop::turn(int limit_ms) {
  int wait = wait_ms();
  if (limit_ms >= 0 && (wait < 0 || wait > limit_ms)) wait = limit_ms;
  const int ready = epoll_wait(epoll_.get(), round_, kRound, wait);
  round_size_ = ready > 0 ? ready : 0;
  for (int i = 0; i < round_size_; i++) {
    auto* watch = static_cast<Watch*>(round_[i].data.ptr);
    if (watch != nullptr) watch->on_ready(*watch, round_[i].events);
  }
  round_size_ = 0;
  expire();
  return ready > 0;
}

}  // namespace berth
