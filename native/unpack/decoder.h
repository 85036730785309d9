// From compressed bytes to plain ones: gzip, zstd, or nothing, told by the first bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "unpack/failure.h"

namespace berth::unpack {

// Takes decoded bytes. Returns false when it wants no more; then the decoder stops with the sink's failure.
class Sink {
 public:
  virtual ~Sink() = default;
  // Room to write into, at least one byte.
  virtual uint8_t* room(size_t* size) = 0;
  virtual bool filled(size_t size, Failure* failure) = 0;
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Decodes all of `data` into the sink.
  virtual bool feed(const uint8_t* data, size_t size, Sink* sink, Failure* failure) = 0;
  // The input has ended: was that a good place?
  virtual bool finish(Failure* failure) = 0;
  // What goes in comes out.
  virtual bool is_identity() const { return false; }
};

inline constexpr size_t kMagicSize = 6;

// `data` are the first bytes of the stream (fewer than kMagicSize only if there are no more). Null with a failure for
// a compression that layers do not use.
std::unique_ptr<Decoder> make_decoder(const uint8_t* data, size_t size, Failure* failure);

}  // namespace berth::unpack
