// The command line of berth-unpack; README.md has the meaning of each.
#pragma once

#include <cstdint>
#include <string>

#include "unpack/names.h"

namespace berth::unpack {

// Bounds what a layer of empty files costs in time and inodes; its bytes are bounded by max_bytes.
constexpr uint64_t kMaxEntries = 10'000'000;

struct Options {
  // With a length, fd 0 is a file of which this range is read; without, a stream that is read to its end.
  bool ranged = false;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t max_entries = kMaxEntries;
  uint64_t max_bytes = uint64_t{1} << 40;
  std::string expect_compressed;
  std::string expect_diff_id;
  NameLimits names;
};

bool parse_options(int argc, const char* const* argv, Options* options, std::string* error);

// "sha256:" and 64 lower-case digits, or sha384 or sha512 and as many as they have.
bool is_digest(std::string_view text);

}  // namespace berth::unpack
