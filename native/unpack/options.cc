#include "unpack/options.h"

#include <charconv>
#include <cstddef>

namespace berth::unpack {
namespace {

bool parse_number(std::string_view text, uint64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc{} && end == text.data() + text.size() && *value <= uint64_t{INT64_MAX};
}

}  // namespace

bool is_digest(std::string_view text) {
  constexpr size_t kPrefix = std::string_view("sha256:").size();
  const std::string_view prefix = text.substr(0, kPrefix);
  const size_t digits = prefix == "sha256:" ? 64 : prefix == "sha384:" ? 96 : prefix == "sha512:" ? 128 : 0;
  return digits != 0 && text.size() == kPrefix + digits &&
         text.find_first_not_of("0123456789abcdef", kPrefix) == std::string_view::npos;
}

bool parse_options(int argc, const char* const* argv, Options* options, std::string* error) {
  for (int i = 1; i < argc; i++) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? "" : argument.substr(equals + 1);
    uint64_t number = 0;
    bool ok = true;
    if (name == "--expect-compressed" || name == "--expect-diff-id") {
      ok = is_digest(value);
      (name == "--expect-diff-id" ? options->expect_diff_id : options->expect_compressed) = value;
    } else if (!parse_number(value, &number)) {
      ok = false;
    } else if (name == "--offset") {
      options->offset = number;
    } else if (name == "--length") {
      options->ranged = true;
      options->length = number;
    } else if (name == "--max-entries") {
      options->max_entries = number;
    } else if (name == "--max-bytes") {
      options->max_bytes = number;
    } else if (name == "--max-path") {
      options->names.max_path = number;
    } else if (name == "--max-depth") {
      options->names.max_depth = number;
    } else {
      ok = false;
    }
    if (!ok) {
      *error = "bad option: ";
      *error += argument;
      return false;
    }
  }
  return true;
}

}  // namespace berth::unpack
