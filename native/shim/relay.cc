#include "shim/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth {
namespace {

constexpr size_t kBufferBytes = 16 * 1024;
constexpr int kRoundsPerTurn = 4;  // so that one busy conversation does not starve the others
constexpr int kRoundsAtEnd = 64;

enum class Step { kWaits, kGoesOn, kSourceEnded, kSinkGone };

Step fill(Relay& relay) {
  const ssize_t n = read(relay.source.fd.get(), relay.buffer.data(), kBufferBytes);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return Step::kWaits;
  relay.source.hung_up = n < 0 && errno == EIO && relay.terminal_lives;
  if (relay.source.hung_up) return Step::kWaits;
  relay.source_ended = n <= 0;  // a terminal whose last user has gone answers EIO
  relay.at = 0;
  relay.size = n > 0 ? static_cast<size_t>(n) : 0;
  return Step::kGoesOn;
}

Step empty(Relay& relay) {
  if (!relay.sink.fd) {
    relay.size = 0;
    return Step::kGoesOn;
  }
  const ssize_t n = write(relay.sink.fd.get(), relay.buffer.data() + relay.at, relay.size);
  if (n == 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return Step::kWaits;
  if (n < 0) return Step::kSinkGone;
  relay.sink.hung_up = false;  // told anew if it is so
  relay.at += static_cast<size_t>(n);
  relay.size -= static_cast<size_t>(n);
  return Step::kGoesOn;
}

Step pass_on(Relay& relay, int rounds) {
  for (int i = 0; i < rounds; i++) {
    if (relay.size == 0 && !relay.source_ended && fill(relay) == Step::kWaits) return Step::kWaits;
    if (relay.size > 0) {
      const Step step = empty(relay);
      if (step != Step::kGoesOn) return step;
    }
    if (relay.size == 0 && relay.source_ended) return Step::kSourceEnded;
  }
  return Step::kGoesOn;
}

bool watch_for(Relay& relay, RelaySide& side, bool wanted, uint32_t events) {
  if (!side.fd || (side.watched == wanted && side.events == events)) return true;
  if (side.watched && wanted) {
    relay.loop->rewatch(side.fd.get(), side, events);
  } else if (wanted) {
    if (!relay.loop->watch(side.fd.get(), side, events)) return false;
  } else {
    relay.loop->unwatch(side.fd.get());
  }
  side.watched = wanted;
  side.events = events;
  return true;
}

// A source that is not to be read is not watched at all, because its hang-up would be told again and again. A sink
// always is: that is how its reader's going is noticed. Of a terminal that is hung up only what changes is told.
bool watch_sides(Relay& relay) {
  const bool reads = relay.size == 0 && !relay.source_ended;
  const auto changes = [](const RelaySide& side) { return side.hung_up ? uint32_t{EPOLLET} : 0; };
  return watch_for(relay, relay.source, reads, EPOLLIN | changes(relay.source)) &&
         watch_for(relay, relay.sink, true, (relay.size > 0 ? uint32_t{EPOLLOUT} : 0) | changes(relay.sink));
}

void end(Relay& relay, RelayEnd why) {
  relay_close(relay);
  relay.on_ended(relay, why);
}

void turn(Relay& relay) {
  switch (pass_on(relay, kRoundsPerTurn)) {
    case Step::kSourceEnded:
      return end(relay, RelayEnd::kSourceEnded);
    case Step::kSinkGone:
      return end(relay, RelayEnd::kSinkGone);
    default:
      if (!watch_sides(relay)) end(relay, RelayEnd::kFailed);
  }
}

void source_ready(Watch& watch, uint32_t) {
  turn(*static_cast<RelaySide&>(watch).relay);
}

void sink_ready(Watch& watch, uint32_t events) {
  Relay& relay = *static_cast<RelaySide&>(watch).relay;
  if (events & (EPOLLERR | EPOLLHUP)) {
    if (!relay.terminal_lives || !isatty(relay.sink.fd.get())) return end(relay, RelayEnd::kSinkGone);
    relay.sink.hung_up = true;
  }
  turn(relay);
}

void close_side(Relay& relay, RelaySide& side) {
  if (side.watched) relay.loop->unwatch(side.fd.get());
  relay.loop->forget(side);
  side.watched = side.hung_up = false;
  side.events = 0;
  side.fd.reset();
}

bool unblock(const Fd& fd) {
  return !fd || fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK) == 0;
}

}  // namespace

bool relay_open(Relay& relay, Loop& loop, Fd source, Fd sink) {
  if (!unblock(source) || !unblock(sink)) return false;
  if (!relay.buffer.make(kBufferBytes)) return false;
  relay.loop = &loop;
  relay.source.relay = relay.sink.relay = &relay;
  relay.source.on_ready = source_ready;
  relay.sink.on_ready = sink_ready;
  relay.source.fd = std::move(source);
  relay.sink.fd = std::move(sink);
  if (watch_sides(relay)) return true;
  const int error = errno;
  relay_close(relay);
  errno = error;
  return false;
}

void relay_process_ended(Relay& relay) {
  relay.terminal_lives = false;
  if (relay.buffer && (relay.source.hung_up || relay.sink.hung_up)) turn(relay);
}

void relay_finish(Relay& relay) {
  if (relay.buffer) (void)pass_on(relay, kRoundsAtEnd);
  relay_close(relay);
}

void relay_close(Relay& relay) {
  if (!relay.buffer) return;
  close_side(relay, relay.source);
  close_side(relay, relay.sink);
  relay.buffer.reset();
  relay.size = 0;
}

bool is_stream(int fd) {
  struct stat about;
  return fd >= 0 && fstat(fd, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
}

}  // namespace berth
