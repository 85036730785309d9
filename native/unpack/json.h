// The few words of JSON that the result needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::unpack {

// Appends `bytes` as a JSON string in which every byte is one character (U+0000 to U+00FF): names are bytes, not text,
// and the reader gets them back unchanged by decoding the string as Latin-1.
void append_json_string(std::string* out, std::string_view bytes);
void append_json_number(std::string* out, uint64_t value);

}  // namespace berth::unpack
