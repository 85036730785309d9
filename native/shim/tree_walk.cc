#include "shim/tree_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace berth {
namespace {

// A cgroup is removed while it is looked at; a process list is not kept for one of threads (EOPNOTSUPP).
bool is_gone(int error) {
  return error == ENOENT || error == ENODEV || error == EOPNOTSUPP;
}

}  // namespace

TreeWalk::Found TreeWalk::start(const char* dir) {
  stop();
  Fd opened(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return is_gone(errno) ? Found::kEnd : Found::kRefused;
  return enter(std::move(opened));
}

TreeWalk::Found TreeWalk::next() {
  if (processes_) {
    process_ = processes_.next();
    if (process_ > 0) return Found::kProcess;
    if (const int error = processes_.error(); error != 0 && !is_gone(error)) return Found::kRefused;
    processes_.close();
  }
  return next_directory();
}

void TreeWalk::stop() {
  while (depth_ > 0) levels_[--depth_].dir.reset();
  processes_.close();
}

// Without a list of processes (the group has just gone) it is still a place to go on from.
TreeWalk::Found TreeWalk::enter(Fd dir) {
  if (!processes_.open(dir.get()) && !is_gone(errno)) return Found::kRefused;
  Level& level = levels_[depth_++];
  level.dir = std::move(dir);
  level.at = level.size = 0;
  return Found::kDirectory;
}

TreeWalk::Found TreeWalk::next_directory() {
  while (depth_ > 0) {
    Level& level = levels_[depth_ - 1];
    if (level.at == level.size) {
      const ssize_t n = getdents64(level.dir.get(), level.entries, sizeof level.entries);
      if (n < 0 && !is_gone(errno)) return Found::kRefused;
      level.at = 0;
      level.size = n > 0 ? static_cast<size_t>(n) : 0;
      if (n <= 0) levels_[--depth_].dir.reset();
      continue;
    }
    const auto* const entry = reinterpret_cast<const dirent64*>(level.entries + level.at);
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && depth_ < kMaxDepth) {
      Fd dir(openat(level.dir.get(), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      const bool gone = !dir && is_gone(errno);
      const Found found = dir ? enter(std::move(dir)) : Found::kRefused;
      if (!gone && found == Found::kRefused) return found;  // the entry stays, to be tried again
      level.at += entry->d_reclen;
      if (found == Found::kDirectory) return found;
      continue;
    }
    level.at += entry->d_reclen;
  }
  return Found::kEnd;
}

}  // namespace berth
