// Pipes as the tests of relays and tees need them: ends that never block.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "common/fd.h"

namespace check {

struct Pipe {
  Pipe() {
    signal(SIGPIPE, SIG_IGN);  // as everywhere in the shim, where every signal waits
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) _exit(99);
    reads = berth::Fd(ends[0]);
    writes = berth::Fd(ends[1]);
  }
  berth::Fd reads, writes;
};

// Everything that is there now. `ended`: and after it the end.
inline std::string drain(const berth::Fd& fd, bool* ended = nullptr) {
  std::string got;
  char bytes[4096];
  ssize_t n;
  while ((n = read(fd.get(), bytes, sizeof bytes)) > 0) got.append(bytes, static_cast<size_t>(n));
  if (ended != nullptr) *ended = n == 0;
  return got;
}

// As much as the pipe takes.
inline size_t stuff(const berth::Fd& fd, size_t most) {
  const std::string block(4096, 'x');
  size_t sent = 0;
  while (sent < most) {
    const ssize_t n = write(fd.get(), block.data(), block.size());
    if (n < 0) break;
    sent += static_cast<size_t>(n);
  }
  return sent;
}

}  // namespace check
