// The 10-byte header before every message: payload length and stream id (u32, big endian), type, flags (0).
#pragma once

#include <cstddef>
#include <cstdint>

namespace berth {

constexpr size_t kFrameHeaderBytes = 10;
// Of a request. execve(2) takes up to 6 MiB of arguments and environment; answers stay far below 4 MiB.
constexpr uint32_t kMaxPayloadBytes = 16u << 20;

enum class FrameType : uint8_t { kRequest = 1, kResponse = 2, kEvent = 3 };

struct FrameHeader {
  uint32_t length = 0;
  uint32_t stream = 0;
  FrameType type = FrameType::kRequest;
};

// A request's header. False when it cannot be one: then nothing that follows on the connection can be trusted.
bool parse_request_header(const uint8_t (&bytes)[kFrameHeaderBytes], FrameHeader& header);
void write_header(const FrameHeader& header, uint8_t (&bytes)[kFrameHeaderBytes]);

}  // namespace berth
