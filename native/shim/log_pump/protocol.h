// What the shim and its log pump say to each other, over a SEQPACKET pair: same binary, so plain structures.
#pragma once

#include <cstdint>

namespace berth {

enum class PumpWord : uint32_t {
  // shim -> pump
  kAdd,     // with the path, and the streams' read ends as descriptors
  kReopen,  // the file was moved away: open the path anew
  kDrain,   // the container has ended: read what is there now and confirm
  kRemove,  // forget it, whoever still writes
  // pump -> shim
  kAdded,
  kReopened,
  kDrained,
  kClosed,  // drained, and every stream has ended: nothing will follow
};

struct PumpMessage {
  PumpWord word;
  uint32_t slot;
  int32_t error;     // errno of kAdded and kReopened; 0: done
  uint32_t streams;  // kAdd: 1 (a terminal) or 2
  uint64_t dropped;  // pump -> shim: bytes of all logs that could not be written, so far
};

constexpr uint32_t kMaxLogPath = 4096;

}  // namespace berth
