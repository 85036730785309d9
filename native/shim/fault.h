// What went wrong, as a value: the written form of the protocol's Error. Plain bytes, so that a child can leave one in
// the page it shares with the shim.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace berth {

// The protocol's Error.Kind.
enum class FaultKind : int32_t {
  kKernel,
  kNotFound,
  kState,
  kUnresponsive,
  kUnsupported,
  kBadMessage,
  kStart,
  kLimit,
  kRequest,
  kImage,
};

struct Fault {
  FaultKind kind = FaultKind::kKernel;
  int32_t error = 0;
  char step[24] = {};
  char path[1024] = {};
  char message[160] = {};

  // Each fills the fault and returns false, so that `return fault.kernel("mount", path, errno)` ends a failed step.
  bool kernel(std::string_view step_name, std::string_view about, int error_number);
  bool start(std::string_view step_name, std::string_view about, int error_number);
  // "the limit of 1024 streams is reached": `things` is the limit's name.
  bool limit(std::string_view step_name, std::string_view about, int64_t count, std::string_view things);
  bool refuse(FaultKind refused, std::string_view step_name, std::string_view about, std::string_view why);
};

// Copies text into fixed space; bytes that are no UTF-8 become '?', so that the other side can always decode it.
void copy_text(char* to, size_t room, std::string_view from);

}  // namespace berth
