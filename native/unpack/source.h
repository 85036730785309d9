// The reading half: bytes from fd 0 are hashed, decompressed, hashed again and handed to the writing half.
#pragma once

#include <cstdint>
#include <string>

#include "unpack/chunk_pipe.h"
#include "unpack/options.h"

namespace berth::unpack {

// What the stream was, known when it has ended.
struct StreamFacts {
  std::string compressed;
  std::string diff_id;
  uint64_t bytes = 0;
};

// Reads `fd` to its end (or the range that the options name) into `pipe`, and always finishes the pipe. Progress lines
// go to `progress_fd` (-1: none).
void run_source(int fd, const Options& options, int progress_fd, ChunkPipe* pipe, StreamFacts* facts);

}  // namespace berth::unpack
