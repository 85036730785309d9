#include "unpack/decoder.h"

#include <isa-l/igzip_lib.h>
#include <string.h>
#include <zstd.h>

#include <algorithm>
#include <initializer_list>
#include <string>

namespace berth::unpack {
namespace {

class Plain final : public Decoder {
 public:
  bool feed(const uint8_t* data, size_t size, Sink* sink, Failure* failure) override {
    while (size > 0) {
      size_t room = 0;
      uint8_t* out = sink->room(&room);
      const size_t n = std::min(room, size);
      memcpy(out, data, n);
      if (!sink->filled(n, failure)) return false;
      data += n;
      size -= n;
    }
    return true;
  }
  bool finish(Failure*) override { return true; }
  bool is_identity() const override { return true; }
};

// A gzip file is one or more members, one after the other.
class Gzip final : public Decoder {
 public:
  Gzip() : state_(new inflate_state) { isal_inflate_init(state_.get()); }

  bool feed(const uint8_t* data, size_t size, Sink* sink, Failure* failure) override {
    state_->next_in = const_cast<uint8_t*>(data);  // the library only reads there
    state_->avail_in = static_cast<uint32_t>(size);
    while (true) {
      if (between_members_) {
        if (state_->avail_in == 0) return true;
        start_member();
      }
      size_t room = 0;
      state_->next_out = sink->room(&room);
      state_->avail_out = static_cast<uint32_t>(room);
      const int status = isal_inflate(state_.get());
      const size_t made = room - state_->avail_out;
      if (made > 0 && !sink->filled(made, failure)) return false;
      if (status != ISAL_DECOMP_OK && status != ISAL_END_INPUT) return failure->set(Code::kInvalid, explain(status));
      if (state_->block_state == ISAL_BLOCK_FINISH) {
        between_members_ = true;
        members_++;
      } else if (state_->avail_in == 0 && state_->avail_out > 0) {
        return true;
      }
    }
  }

  bool finish(Failure* failure) override {
    return between_members_ || failure->set(Code::kInvalid, "the gzip stream is truncated");
  }

 private:
  void start_member() {
    uint8_t* const next_in = state_->next_in;
    const uint32_t avail_in = state_->avail_in;
    isal_inflate_reset(state_.get());
    state_->crc_flag = ISAL_GZIP;
    state_->next_in = next_in;
    state_->avail_in = avail_in;
    between_members_ = false;
  }

  std::string explain(int status) const {
    if (status == ISAL_INCORRECT_CHECKSUM) return "the gzip stream has a wrong checksum";
    if (members_ > 0 && (status == ISAL_INVALID_WRAPPER || status == ISAL_UNSUPPORTED_METHOD)) {
      return "garbage after the end of the gzip stream";
    }
    return "the gzip stream is corrupt";
  }

  std::unique_ptr<inflate_state> state_;
  bool between_members_ = true;
  uint64_t members_ = 0;
};

class Zstd final : public Decoder {
 public:
  Zstd() : context_(ZSTD_createDCtx()) {}
  ~Zstd() override { ZSTD_freeDCtx(context_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  bool feed(const uint8_t* data, size_t size, Sink* sink, Failure* failure) override {
    ZSTD_inBuffer in = {data, size, 0};
    while (true) {
      size_t room = 0;
      uint8_t* memory = sink->room(&room);
      ZSTD_outBuffer out = {memory, room, 0};
      const size_t hint = ZSTD_decompressStream(context_, &out, &in);
      if (ZSTD_isError(hint)) {
        if (frames_ > 0 && !inside_frame_) {
          return failure->set(Code::kInvalid, "garbage after the end of the zstd stream");
        }
        return failure->set(Code::kInvalid, std::string("the zstd stream is corrupt: ") + ZSTD_getErrorName(hint));
      }
      if (out.pos > 0 && !sink->filled(out.pos, failure)) return false;
      inside_frame_ = hint != 0;
      if (!inside_frame_) frames_++;
      if (in.pos == in.size && out.pos < out.size) return true;
      if (in.pos == in.size && !inside_frame_) return true;
    }
  }

  bool finish(Failure* failure) override {
    return !inside_frame_ || failure->set(Code::kInvalid, "the zstd stream is truncated");
  }

 private:
  ZSTD_DCtx* context_;
  bool inside_frame_ = false;
  uint64_t frames_ = 0;
};

bool has_magic(const uint8_t* data, size_t size, std::initializer_list<uint8_t> magic) {
  return size >= magic.size() && std::equal(magic.begin(), magic.end(), data);
}

}  // namespace

std::unique_ptr<Decoder> make_decoder(const uint8_t* data, size_t size, Failure* failure) {
  if (has_magic(data, size, {0x1f, 0x8b})) return std::unique_ptr<Decoder>(new Gzip);
  if (has_magic(data, size, {0x28, 0xb5, 0x2f, 0xfd})) return std::unique_ptr<Decoder>(new Zstd);
  // A zstd stream may begin with a frame to be skipped: 0x184D2A50 to 0x184D2A5F, little-endian.
  if (size >= 4 && (data[0] & 0xf0) == 0x50 && has_magic(data + 1, size - 1, {0x2a, 0x4d, 0x18})) {
    return std::unique_ptr<Decoder>(new Zstd);
  }
  const char* other = has_magic(data, size, {'B', 'Z', 'h'})                 ? "bzip2"
                      : has_magic(data, size, {0xfd, '7', 'z', 'X', 'Z', 0}) ? "xz"
                      : has_magic(data, size, {0x04, 0x22, 0x4d, 0x18})      ? "lz4"
                                                                             : nullptr;
  if (other) {
    failure->set(Code::kInvalid, std::string("layers are gzip, zstd or plain tar; this one is ") + other);
    return nullptr;
  }
  return std::unique_ptr<Decoder>(new Plain);
}

}  // namespace berth::unpack
