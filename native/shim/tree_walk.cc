#include "shim/tree_walk.h"

#include <fcntl.h>

namespace berth {

bool TreeWalk::start(const char* dir) {
  stop();
  fresh_ = enter(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fresh_;
}

TreeWalk::Found TreeWalk::next() {
  if (fresh_) {
    fresh_ = false;
    return Found::kDirectory;
  }
  if (processes_ && (process_ = processes_.next()) > 0) return Found::kProcess;
  processes_.close();
  return enter_next() ? Found::kDirectory : Found::kEnd;
}

void TreeWalk::stop() {
  while (depth_ > 0) closedir(levels_[--depth_]);
  processes_.close();
  fresh_ = false;
}

// Takes the descriptor. Without a list of processes (the group has just gone) it is still a place to go on from.
bool TreeWalk::enter(int dir) {
  DIR* const level = dir < 0 || depth_ == kMaxDepth ? nullptr : fdopendir(dir);
  if (level == nullptr) {
    Fd close_it(dir);
    return false;
  }
  levels_[depth_++] = level;
  (void)processes_.open(dir);
  return true;
}

bool TreeWalk::enter_next() {
  while (depth_ > 0) {
    DIR* const level = levels_[depth_ - 1];
    const dirent* const entry = readdir(level);
    if (entry == nullptr) {
      closedir(levels_[--depth_]);
      continue;
    }
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    if (enter(openat(dirfd(level), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC))) return true;
  }
  return false;
}

}  // namespace berth
