#include "unpack/json.h"

namespace berth::unpack {

void append_json_string(std::string* out, std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  *out += '"';
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '"' || byte == '\\') {
      *out += '\\';
      *out += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      *out += c;
    } else {
      *out += "\\u00";
      *out += kHex[byte >> 4];
      *out += kHex[byte & 15];
    }
  }
  *out += '"';
}

void append_json_number(std::string* out, uint64_t value) {
  *out += std::to_string(value);
}

}  // namespace berth::unpack
