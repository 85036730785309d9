// The CRI log format, pure: bytes of a stream in, records out.
//
//   2026-01-02T15:04:05.123456789Z stdout F a whole line
//   2026-01-02T15:04:05.123456789Z stdout P the first 16 KiB of a longer one
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/owned.h"

namespace berth {

constexpr size_t kMaxLineBytes = 16 * 1024;
// "2006-01-02T15:04:05.999999999Z stdout F " and the newline at the end.
constexpr size_t kRecordPrefixBytes = 40;
constexpr size_t kMaxRecordBytes = kRecordPrefixBytes + kMaxLineBytes + 1;

struct RecordPrefix {
  char text[kRecordPrefixBytes];
};
// `stream` is "stdout" or "stderr".
RecordPrefix record_prefix(int64_t realtime_ns, std::string_view stream);

// The beginning of a line whose end has not been read yet. `bytes` has room for kMaxLineBytes.
struct Carry {
  Pages bytes;
  size_t size = 0;
};

// Takes from `input` and writes whole records to `out`, until the input is used up or `out` has no room for one more
// record of full length. An unfinished line ends up in `carry`. Returns the bytes written.
size_t format_records(Carry& carry, std::string_view& input, const RecordPrefix& prefix, char* out, size_t room);

// The record for what is left when a stream ends in the middle of a line: P, since no newline was written.
size_t format_rest(Carry& carry, const RecordPrefix& prefix, char* out, size_t room);

}  // namespace berth
