#include "unpack/source.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "unpack/decoder.h"
#include "unpack/digest.h"
#include "unpack/result.h"

namespace berth::unpack {
namespace {

constexpr size_t kReadSize = 256 * 1024;
constexpr uint64_t kProgressStep = 4 << 20;

// Fills chunks of the pipe, hashing what it hands over.
class PipeSink final : public Sink {
 public:
  PipeSink(ChunkPipe* pipe, uint64_t limit, std::string_view algorithm)
      : pipe_(pipe), limit_(limit), hash_(algorithm) {}

  uint8_t* room(size_t* size) override {
    if (!chunk_) chunk_ = pipe_->acquire();
    *size = ChunkPipe::kChunkSize - used_;
    return chunk_ + used_;
  }

  bool filled(size_t size, Failure* failure) override {
    used_ += size;
    total_ += size;
    if (total_ > limit_) return failure->set_limit("max-bytes", "the uncompressed stream is larger than allowed");
    if (used_ == ChunkPipe::kChunkSize) flush();
    return true;
  }

  void flush() {
    if (!chunk_) return;
    hash_.add(chunk_, used_);
    pipe_->commit(used_);
    chunk_ = nullptr;
    used_ = 0;
  }

  std::string digest() { return hash_.finish(); }

 private:
  ChunkPipe* pipe_;
  uint64_t limit_;
  uint64_t total_ = 0;
  uint8_t* chunk_ = nullptr;
  size_t used_ = 0;
  Digest hash_;
};

class Input {
 public:
  Input(int fd, const Options& options) : fd_(fd), options_(options) {}

  // 0 at the end, -1 with a failure.
  ssize_t read_some(uint8_t* buffer, size_t size, Failure* failure) {
    if (options_.ranged) size = static_cast<size_t>(std::min<uint64_t>(size, options_.length - total_));
    if (size == 0) return 0;
    while (true) {
      const ssize_t n = options_.ranged ? pread(fd_, buffer, size, static_cast<off_t>(options_.offset + total_))
                                        : read(fd_, buffer, size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        failure->set_errno("read the layer");
      } else if (n == 0 && options_.ranged) {
        failure->set(Code::kInvalid, "the layer is truncated");
        return -1;
      } else {
        total_ += static_cast<uint64_t>(n);
      }
      return n;
    }
  }

  uint64_t total() const { return total_; }

 private:
  int fd_;
  const Options& options_;
  uint64_t total_ = 0;
};

// Limits on entries and file bytes are the writer's; headers and padding have room here.
uint64_t stream_limit(const Options& options) {
  const uint64_t per_entry = 4096;
  const uint64_t headers = options.max_entries < (uint64_t{1} << 40) ? options.max_entries * per_entry : 0;
  return options.max_bytes + headers + (1 << 20);
}

bool pump(const Options& options, Input* input, PipeSink* sink, int progress_fd, StreamFacts* facts, Failure* failure) {
  const std::unique_ptr<uint8_t[]> buffer(new uint8_t[kReadSize]);
  Digest hash(algorithm_of(options.expect_compressed));
  // The first bytes tell the compression; a pipe may give them one at a time.
  size_t have = 0;
  while (have < kMagicSize) {
    const ssize_t n = input->read_some(buffer.get() + have, kReadSize - have, failure);
    if (n < 0) return false;
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  const std::unique_ptr<Decoder> decoder = make_decoder(buffer.get(), have, failure);
  if (!decoder) return false;
  // One digest serves both sides of nothing, if both sides are told in the same.
  const bool one_digest =
      decoder->is_identity() && algorithm_of(options.expect_compressed) == algorithm_of(options.expect_diff_id);
  uint64_t reported = 0;
  while (have > 0) {
    if (!one_digest) hash.add(buffer.get(), have);
    if (!decoder->feed(buffer.get(), have, sink, failure)) return false;
    if (progress_fd >= 0 && input->total() - reported >= kProgressStep) {
      reported = input->total();
      write_line(progress_fd, progress_json(reported));
    }
    const ssize_t n = input->read_some(buffer.get(), kReadSize, failure);
    if (n < 0) return false;
    have = static_cast<size_t>(n);
  }
  if (!decoder->finish(failure)) return false;
  sink->flush();
  facts->diff_id = sink->digest();
  facts->compressed = one_digest ? facts->diff_id : hash.finish();
  facts->bytes = input->total();
  return true;
}

}  // namespace

void run_source(int fd, const Options& options, int progress_fd, ChunkPipe* pipe, StreamFacts* facts) {
  Input input(fd, options);
  PipeSink sink(pipe, stream_limit(options), algorithm_of(options.expect_diff_id));
  Failure failure;
  pump(options, &input, &sink, progress_fd, facts, &failure);
  pipe->finish(std::move(failure));
}

}  // namespace berth::unpack
