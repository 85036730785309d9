#include "shim/frame.h"

namespace berth {
namespace {

uint32_t read_u32(const uint8_t* at) {
  return static_cast<uint32_t>(at[0]) << 24 | static_cast<uint32_t>(at[1]) << 16 | static_cast<uint32_t>(at[2]) << 8 |
         at[3];
}

void write_u32(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

}  // namespace

bool parse_request_header(const uint8_t (&bytes)[kFrameHeaderBytes], FrameHeader& header) {
  header.length = read_u32(bytes);
  header.stream = read_u32(bytes + 4);
  header.type = static_cast<FrameType>(bytes[8]);
  const bool callers_stream = header.stream % 2 == 1;
  return header.length <= kMaxPayloadBytes && callers_stream && header.type == FrameType::kRequest && bytes[9] == 0;
}

void write_header(const FrameHeader& header, uint8_t (&bytes)[kFrameHeaderBytes]) {
  write_u32(bytes, header.length);
  write_u32(bytes + 4, header.stream);
  bytes[8] = static_cast<uint8_t>(header.type);
  bytes[9] = 0;
}

}  // namespace berth
