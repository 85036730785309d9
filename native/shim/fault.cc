#include "shim/fault.h"

#include <cstddef>

#include "common/text.h"

namespace berth {
namespace {

// Length of the UTF-8 sequence at the start of `text`, 0 when it is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F;
  const bool beyond = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

void copy_text(char* to, size_t room, std::string_view from) {
  size_t at = 0;
  for (size_t i = 0; i < from.size();) {
    const std::string_view rest(from.data() + i, from.size() - i);
    const size_t length = utf8_length(rest);
    const size_t take = length == 0 ? 1 : length;
    if (at + take >= room) break;
    for (size_t k = 0; k < take; k++) to[at++] = length == 0 ? '?' : rest[k];
    i += take;
  }
  to[at] = '\0';
}

bool Fault::kernel(std::string_view step_name, std::string_view about, int error_number) {
  kind = FaultKind::kKernel;
  error = error_number;
  copy_text(step, sizeof step, step_name);
  copy_text(path, sizeof path, about);
  message[0] = '\0';
  return false;
}

bool Fault::start(std::string_view step_name, std::string_view about, int error_number) {
  kernel(step_name, about, error_number);
  kind = FaultKind::kStart;
  return false;
}

bool Fault::limit(std::string_view step_name, std::string_view about, int64_t count, std::string_view things) {
  Text<sizeof message> why("the limit of ");
  why.add_number(count).add(" ").add(things).add(" is reached");
  return refuse(FaultKind::kLimit, step_name, about, why.view());
}

bool Fault::refuse(FaultKind refused, std::string_view step_name, std::string_view about, std::string_view why) {
  kernel(step_name, about, 0);
  kind = refused;
  copy_text(message, sizeof message, why);
  return false;
}

}  // namespace berth
