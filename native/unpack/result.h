// Lines of JSON on the result fd: progress while it runs, then one that says how it ended.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "unpack/failure.h"

namespace berth::unpack {

struct Result {
  std::string compressed;
  std::string diff_id;
  uint64_t stream_bytes = 0;  // as read, compressed
  uint64_t bytes = 0;         // on disk, in whole blocks
  uint64_t inodes = 0;
  uint64_t ignored = 0;  // bytes behind the end of the tar, from the first that is not zero
  std::vector<std::string> implied;
  std::vector<std::string> opaque;
};

std::string to_json(const Result& result);
std::string to_json(const Failure& failure);
std::string progress_json(uint64_t bytes);

// Writes all of `text`; a reader that went away is not an error of ours.
void write_line(int fd, const std::string& text);

}  // namespace berth::unpack
