// The processes of one cgroup, read piece by piece: a list of ten thousand is never held as a whole.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

#include <cstddef>

#include "common/fd.h"

namespace berth {

class ProcessList {
 public:
  // False with errno when the directory has no such list (any more).
  bool open(int dir) {
    file_ = Fd(openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC));
    at_ = size_ = 0;
    error_ = 0;
    return static_cast<bool>(file_);
  }

  // The next process id, with at most one read(2); 0 at the end, or where the kernel refuses to say more. A process of
  // a pid namespace that we cannot see is listed as 0 and passed over.
  pid_t next() {
    pid_t pid = 0;
    for (;;) {
      if (at_ == size_ && !refill()) return pid;
      const char c = piece_[at_++];
      if (c != '\n') {
        pid = pid * 10 + (c - '0');
      } else if (pid > 0) {
        return pid;
      }
    }
  }

  // Why the list ended early; 0: it did not. The next call reads on.
  int error() const { return error_; }

  void close() { file_.reset(); }
  explicit operator bool() const { return static_cast<bool>(file_); }

 private:
  bool refill() {
    at_ = size_ = 0;
    const ssize_t n = file_ ? read(file_.get(), piece_, sizeof piece_) : 0;
    error_ = n < 0 ? errno : 0;
    if (n > 0) size_ = static_cast<size_t>(n);
    return n > 0;
  }

  Fd file_;
  size_t at_ = 0;
  size_t size_ = 0;
  int error_ = 0;
  char piece_[4096];
};

}  // namespace berth
