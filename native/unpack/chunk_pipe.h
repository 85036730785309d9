// Bytes from the thread that decompresses to the thread that writes: a ring of fixed chunks.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "unpack/failure.h"

namespace berth::unpack {

class ChunkPipe {
 public:
  static constexpr size_t kChunkSize = 256 * 1024;
  static constexpr size_t kChunks = 16;

  ChunkPipe();

  // Producer: a chunk to fill (waits for one), then how much of it was filled. finish() ends the stream, with the
  // reason if there is one.
  uint8_t* acquire();
  void commit(size_t size);
  void finish(Failure failure);

  // Consumer: the next chunk, valid until the following call; size 0 at the end. After the end, failure() says why.
  const uint8_t* next(size_t* size);
  const Failure& failure() const { return failure_; }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  size_t sizes_[kChunks] = {};
  size_t head_ = 0;  // chunks committed
  size_t tail_ = 0;  // chunks given back
  bool lent_ = false;
  bool finished_ = false;
  Failure failure_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed_ = PTHREAD_COND_INITIALIZER;
};

}  // namespace berth::unpack
