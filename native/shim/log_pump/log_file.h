// One container's log file.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/fd.h"

namespace berth {

class LogFile {
 public:
  // Opens (or creates) `path` and only then lets go of the file before it: a reopen that fails loses nothing. Returns 0
  // or errno.
  int open(const char* path);
  // Writes whole records. On a full or broken disk what does not fit is dropped, never half a record: returns the bytes
  // dropped. A slow disk makes the caller wait.
  uint64_t write(std::string_view records);

 private:
  void cut_to_record(std::string_view written);

  Fd fd_;
};

}  // namespace berth
