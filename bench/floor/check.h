// A measurement that failed half-way measures nothing: every failure ends the program.
#pragma once

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>

namespace floor_bench {

[[noreturn, gnu::format(printf, 1, 2)]] inline void fail(const char* format, ...) {
  const int error = errno;
  va_list arguments;
  va_start(arguments, format);
  vdprintf(STDERR_FILENO, format, arguments);
  va_end(arguments);
  dprintf(STDERR_FILENO, ": %s\n", strerror(error));
  _exit(1);
}

// The result of a system call that must not fail.
template <typename T>
T must(T result, const char* what) {
  if (result < 0) fail("floor: %s", what);
  return result;
}

// A path, cut off by nobody: one that is too long ends the program.
struct Path {
  char text[512];

  [[gnu::format(printf, 2, 3)]] explicit Path(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= static_cast<int>(sizeof text)) fail("floor: path too long");
  }

  operator const char*() const { return text; }
};

inline int64_t now_us() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

}  // namespace floor_bench
