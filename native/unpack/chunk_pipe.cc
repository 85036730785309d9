#include "unpack/chunk_pipe.h"

#include <utility>

namespace berth::unpack {
namespace {

class Lock {
 public:
  explicit Lock(pthread_mutex_t* mutex) : mutex_(mutex) { pthread_mutex_lock(mutex_); }
  ~Lock() { pthread_mutex_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  pthread_mutex_t* mutex_;
};

}  // namespace

ChunkPipe::ChunkPipe() : memory_(new uint8_t[kChunkSize * kChunks]) {}

uint8_t* ChunkPipe::acquire() {
  Lock lock(&mutex_);
  while (head_ - tail_ == kChunks) pthread_cond_wait(&changed_, &mutex_);
  return memory_.get() + (head_ % kChunks) * kChunkSize;
}

void ChunkPipe::commit(size_t size) {
  if (size == 0) return;
  Lock lock(&mutex_);
  sizes_[head_ % kChunks] = size;
  head_++;
  pthread_cond_signal(&changed_);
}

void ChunkPipe::finish(Failure failure) {
  Lock lock(&mutex_);
  failure_ = std::move(failure);
  finished_ = true;
  pthread_cond_signal(&changed_);
}

const uint8_t* ChunkPipe::next(size_t* size) {
  Lock lock(&mutex_);
  if (lent_) {
    lent_ = false;
    tail_++;
    pthread_cond_signal(&changed_);
  }
  while (head_ == tail_ && !finished_) pthread_cond_wait(&changed_, &mutex_);
  if (head_ == tail_) {
    *size = 0;
    return nullptr;
  }
  lent_ = true;
  *size = sizes_[tail_ % kChunks];
  return memory_.get() + (tail_ % kChunks) * kChunkSize;
}

}  // namespace berth::unpack
