// Text in fixed space: what does not fit is cut, never overrun.
#pragma once

#include <string.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace berth {

template <size_t N>
class Text {
 public:
  Text() = default;
  explicit Text(std::string_view text) { add(text); }

  Text& add(std::string_view text) {
    const size_t room = N - 1 - size_;
    const size_t n = text.size() < room ? text.size() : room;
    if (n < text.size()) cut_ = true;
    if (n != 0) memcpy(bytes_ + size_, text.data(), n);  // an empty view may have no address
    size_ += n;
    bytes_[size_] = '\0';
    return *this;
  }

  Text& add_number(int64_t value) {
    char digits[24];
    char* at = digits + sizeof digits;
    uint64_t rest = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    do {
      *--at = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (value < 0) *--at = '-';
    return add({at, static_cast<size_t>(digits + sizeof digits - at)});
  }

  // Back to what it was when it had that size.
  void shorten(size_t size) {
    if (size >= size_) return;
    size_ = size;
    bytes_[size_] = '\0';
  }

  void clear() {
    size_ = 0;
    cut_ = false;
    bytes_[0] = '\0';
  }

  const char* c_str() const { return bytes_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // True when something did not fit: a path that was cut must not be used.
  bool cut() const { return cut_; }
  std::string_view view() const { return {bytes_, size_}; }

 private:
  char bytes_[N] = {};
  size_t size_ = 0;
  bool cut_ = false;
};

using Path = Text<4096>;

// string_view::substr without its exception.
inline std::string_view slice(std::string_view text, size_t from, size_t count = static_cast<size_t>(-1)) {
  if (from > text.size()) from = text.size();
  const size_t rest = text.size() - from;
  return {text.data() + from, count < rest ? count : rest};
}

inline bool starts_with(std::string_view text, std::string_view prefix) {
  return slice(text, 0, prefix.size()) == prefix;
}

}  // namespace berth
