// The conversation's messages (native/protocol/shim.proto) between bytes and structures, always bounded by the frame.
#pragma once

#include <pb.h>

// The protocol has a field called errno, which <errno.h> makes a macro, and one called requires, which C++ has made a
// word of its own.
#pragma push_macro("errno")
#undef errno
#define requires required
#include "shim.pb.h"
#undef requires
#pragma pop_macro("errno")

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shim/fault.h"
#include "shim/frame.h"

namespace berth {

// A decoded message that owns what nanopb allocated for it. Starts out all zero.
template <typename T>
struct Decoded {
  explicit Decoded(const pb_msgdesc_t* descriptor) : descriptor_(descriptor) {}
  Decoded(const Decoded&) = delete;
  Decoded& operator=(const Decoded&) = delete;
  ~Decoded();
  T* operator->() { return &value; }
  T& operator*() { return value; }
  bool from(std::string_view bytes);

  T value = {};

 private:
  const pb_msgdesc_t* descriptor_;
};

bool decode_message(const pb_msgdesc_t* descriptor, void* message, std::string_view bytes);
void release_message(const pb_msgdesc_t* descriptor, void* message);

template <typename T>
Decoded<T>::~Decoded() {
  release_message(descriptor_, &value);
}
template <typename T>
bool Decoded<T>::from(std::string_view bytes) {
  return decode_message(descriptor_, &value, bytes);
}

// A Request: which call, and the bytes of its message.
struct Call {
  uint32_t tag = 0;
  std::string_view body;
};
bool decode_call(std::string_view payload, Call& call);

// Makes a bytes field remember where its bytes lie in the frame instead of copying them.
pb_callback_t remember_bytes(std::string_view* where);

// NUL-terminated copies of a repeated bytes field, ending with a null pointer: what execve takes.
struct StringVector {
  char** items = nullptr;
  size_t count = 0;
  size_t room = 0;
};
pb_callback_t collect_strings(StringVector* into);

// The raw CgroupDir entries of an encoded ContainerPlan, found without decoding the rest; each is copied with its field
// tag, so that the copy is itself a ContainerPlan with nothing but cgroup_dirs. False when the plan is malformed.
bool copy_cgroup_dirs(std::string_view plan, char** bytes, size_t* size);

// An encoded message in one malloc'd block, with room before it for the header of its frame.
class Encoded {
 public:
  Encoded() = default;
  Encoded(Encoded&& other) noexcept : bytes_(other.bytes_), size_(other.size_) { other.bytes_ = nullptr; }
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;
  ~Encoded();
  // `tag` != 0: as that field of an envelope (Response, Event); 0: the message alone.
  bool encode(uint32_t tag, const pb_msgdesc_t* descriptor, const void* message);
  std::string_view view() const { return {bytes_ + kFrameHeaderBytes, size_}; }
  // The whole frame. May be asked for again with another stream.
  std::string_view frame(FrameType type, uint32_t stream);
  explicit operator bool() const { return bytes_ != nullptr; }

 private:
  char* bytes_ = nullptr;
  size_t size_ = 0;
};

Encoded encode_error(const Fault& fault);

inline std::string_view view_of(const char* text) {
  return text == nullptr ? std::string_view() : std::string_view(text);
}

}  // namespace berth
