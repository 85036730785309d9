// Goes through a cgroup and those below it in small steps, so that whoever has other things to do can stop in between.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include "common/fd.h"
#include "common/process_list.h"

namespace berth {

class TreeWalk {
 public:
  enum class Found { kDirectory, kProcess, kEnd };

  TreeWalk() = default;
  TreeWalk(const TreeWalk&) = delete;
  TreeWalk& operator=(const TreeWalk&) = delete;
  ~TreeWalk() { stop(); }

  // From the beginning. False: the directory is gone.
  bool start(const char* dir);
  // The next directory, or the next process of the one before. Each step costs a few system calls at most.
  Found next();
  // Goes on with the directories.
  void skip_processes() { processes_.close(); }
  void stop();

  // Of what was found last.
  int directory() const { return dirfd(levels_[depth_ - 1]); }
  pid_t process() const { return process_; }

 private:
  bool enter(int dir);
  bool enter_next();

  // A container may make cgroups of its own, but not without end.
  static constexpr int kMaxDepth = 64;
  DIR* levels_[kMaxDepth] = {};
  int depth_ = 0;
  bool fresh_ = false;  // the first directory has not been told yet
  ProcessList processes_;
  pid_t process_ = 0;
};

}  // namespace berth
