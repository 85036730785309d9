#include "shim/frame.h"

#include "tests/shim/unit/check.h"

namespace berth {
namespace {

bool parses(uint32_t length, uint32_t stream, uint8_t type, uint8_t flags, FrameHeader& header) {
  uint8_t bytes[kFrameHeaderBytes];
  write_header({length, stream, static_cast<FrameType>(type)}, bytes);
  bytes[9] = flags;
  return parse_request_header(bytes, header);
}

TEST("a header is read back as it was written") {
  FrameHeader header;
  CHECK(parses(0x00123456, 0x89abcdef, 1, 0, header));
  CHECK(header.length == 0x00123456 && header.stream == 0x89abcdef && header.type == FrameType::kRequest);
}

TEST("a header is big endian") {
  uint8_t bytes[kFrameHeaderBytes];
  write_header({1, 2, FrameType::kEvent}, bytes);
  const uint8_t wanted[kFrameHeaderBytes] = {0, 0, 0, 1, 0, 0, 0, 2, 3, 0};
  for (size_t i = 0; i < kFrameHeaderBytes; i++) CHECK(bytes[i] == wanted[i]);
}

TEST("the largest payload is taken and one byte more is not") {
  FrameHeader header;
  CHECK(kMaxPayloadBytes == 16 * 1024 * 1024);
  CHECK(parses(kMaxPayloadBytes - 1, 1, 1, 0, header));
  CHECK(parses(kMaxPayloadBytes, 1, 1, 0, header));
  CHECK(!parses(kMaxPayloadBytes + 1, 1, 1, 0, header));
  CHECK(!parses(0xffffffff, 1, 1, 0, header));
}

TEST("what is no request of a caller is refused") {
  FrameHeader header;
  CHECK(!parses(1, 2, 1, 0, header));  // an even stream
  CHECK(!parses(1, 0, 1, 0, header));
  CHECK(!parses(1, 1, 2, 0, header));  // a response
  CHECK(!parses(1, 1, 0, 0, header));
  CHECK(!parses(1, 1, 1, 1, header));  // flags
}

}  // namespace
}  // namespace berth
