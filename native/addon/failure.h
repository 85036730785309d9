// What a call gives: a value, or why there is none. Nothing here throws.
#pragma once

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

namespace berth::addon {

// A failed step: the errno, the call that gave it and what it was about. `detail` is the kernel's own sentence, if any.
struct Failure {
  int error = 0;
  std::string call;
  std::string path;
  std::string detail;
};

// "mkdir /sys/fs/cgroup/cpu/a: no such file or directory"
std::string sentence(const Failure& failure);
// "ENOENT"
std::string errno_name(int error);

inline Failure fail(const char* call, std::string path = {}) {
  return {errno, call, std::move(path), {}};
}
inline Failure fail_with(int error, const char* call, std::string path = {}, std::string detail = {}) {
  return {error, call, std::move(path), std::move(detail)};
}

template <class T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Failure failure) : failure_(std::move(failure)) {}

  explicit operator bool() const { return value_.has_value(); }
  T& operator*() { return *value_; }
  T* operator->() { return &*value_; }
  const Failure& failure() const { return failure_; }

 private:
  std::optional<T> value_;
  Failure failure_;
};

struct Nothing {};
using Done = Result<Nothing>;

}  // namespace berth::addon
