// Goes through a cgroup and those below it in small steps, so that whoever has other things to do can stop in between.
// It takes no memory while it goes, and what the kernel refuses for the lack of some, or of descriptors, is not taken
// for gone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "common/fd.h"
#include "common/process_list.h"

namespace berth {

class TreeWalk {
 public:
  enum class Found { kDirectory, kProcess, kEnd, kRefused };

  TreeWalk() = default;
  TreeWalk(const TreeWalk&) = delete;
  TreeWalk& operator=(const TreeWalk&) = delete;
  ~TreeWalk() { stop(); }

  // From the beginning, which is kDirectory; kEnd: it is gone. kRefused: nothing has begun.
  Found start(const char* dir);
  // The next directory, or the next process of the one before. Each step costs a few system calls at most. After
  // kRefused the next call tries the same step again.
  Found next();
  // Goes on with the directories.
  void skip_processes() { processes_.close(); }
  void stop();

  // Of what was found last.
  int directory() const { return levels_[depth_ - 1].dir.get(); }
  pid_t process() const { return process_; }

 private:
  // A directory, and the entries that one call gives: there is room for one of the longest name at least.
  struct Level {
    Fd dir;
    size_t at = 0;
    size_t size = 0;
    alignas(8) char entries[512];
  };

  Found enter(Fd dir);
  Found next_directory();

  // A container may make cgroups of its own, but not without end.
  static constexpr int kMaxDepth = 64;
  Level levels_[kMaxDepth];
  int depth_ = 0;
  ProcessList processes_;
  pid_t process_ = 0;
};

}  // namespace berth
