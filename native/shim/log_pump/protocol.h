// What the shim and its log pump say to each other, over a SEQPACKET pair: same binary, so plain structures.
#pragma once

#include <cstdint>

namespace berth {

enum class PumpWord : uint32_t {
  // shim -> pump
  kAdd,     // with the path (none: no file), and the streams' read ends as descriptors
  kReopen,  // the file was moved away: open the path anew
  kDrain,   // the container has ended: read what is there now and confirm
  kRemove,  // forget it, whoever still writes
  kTee,     // a client attaches: his descriptors, for the streams that are bits of `streams`
  kUntee,   // he has left
  // pump -> shim
  kAdded,
  kReopened,
  kDrained,
  kClosed,  // drained, every stream has ended and every client has what he gets: nothing will follow
  kTeed,
  kDropped,  // some of its output could not be written: how much, is in `log_dropped`
  kTeeOver,  // he has had all of the container's output, was cut (ENOBUFS) or reads no more (EPIPE)
};

struct PumpMessage {
  PumpWord word;
  uint32_t slot;
  int32_t error;         // errno of kAdded, kReopened, kTeed and kTeeOver; 0: done
  uint32_t streams;      // kAdd: 1 (a terminal) or 2
  uint32_t client;       // of kTee, kUntee, kTeed and kTeeOver
  uint64_t dropped;      // pump -> shim: bytes of all logs that could not be written, so far
  uint64_t log_dropped;  // the same of this log
};

constexpr uint32_t kMaxLogPath = 4096;

}  // namespace berth
