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

#include "common/owned.h"
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
  // False with a fault: "malformed Exec", where `name` is "Exec"; or there is no memory for it.
  bool from(std::string_view bytes, Fault& fault, std::string_view step, std::string_view name);

  T value = {};

 private:
  const pb_msgdesc_t* descriptor_;
};

bool decode_message(const pb_msgdesc_t* descriptor, void* message, std::string_view bytes, Fault& fault,
                    std::string_view step, std::string_view name);
void release_message(const pb_msgdesc_t* descriptor, void* message);

template <typename T>
Decoded<T>::~Decoded() {
  release_message(descriptor_, &value);
}
template <typename T>
bool Decoded<T>::from(std::string_view bytes, Fault& fault, std::string_view step, std::string_view name) {
  return decode_message(descriptor_, &value, bytes, fault, step, name);
}

// A Request: which call, and the bytes of its message.
struct Call {
  uint32_t tag = 0;
  std::string_view body;
};
bool decode_call(std::string_view payload, Call& call);

// Makes a bytes field remember where its bytes lie in the frame instead of copying them.
pb_callback_t remember_bytes(std::string_view* where);

// Copies each of a repeated bytes field.
pb_callback_t collect_strings(OwnedStrings* into);

// The raw CgroupDir entries of an encoded ContainerPlan, found without decoding the rest; each is copied with its field
// tag, so that the copy is itself a ContainerPlan with nothing but cgroup_dirs. False with a fault.
bool copy_cgroup_dirs(std::string_view plan, OwnedArray<char>& copy, Fault& fault);

// An encoded message, with room before it for the header of its frame. A small one, as every error and every event is,
// needs no memory: it can always be told.
class Encoded {
 public:
  Encoded() = default;
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;
  // `tag` != 0: as that field of an envelope (Response, Event); 0: the message alone. False: there is no memory.
  [[nodiscard]] bool encode(uint32_t tag, const pb_msgdesc_t* descriptor, const void* message);
  std::string_view view() const { return {bytes_ + kFrameHeaderBytes, size_}; }
  // The whole frame. May be asked for again with another stream.
  std::string_view frame(FrameType type, uint32_t stream);

  static constexpr size_t kSmallBytes = 1536;

 private:
  char small_[kFrameHeaderBytes + kSmallBytes];
  OwnedArray<char> large_;
  char* bytes_ = small_;
  size_t size_ = 0;
};

void encode_error(const Fault& fault, Encoded& encoded);

inline std::string_view view_of(const char* text) {
  return text == nullptr ? std::string_view() : std::string_view(text);
}

}  // namespace berth
