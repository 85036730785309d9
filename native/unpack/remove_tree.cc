#include "unpack/remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fd.h"

namespace berth::unpack {
namespace {

struct Level {
  std::string name;
  Fd fd;
};

enum class Step { kFailed, kDescended, kMore, kEmpty };

// Unlinks what one getdents gives. Stops at a directory, which becomes the next level; the read position is then right
// behind it. Never back to the start: in a large directory whose first blocks are empty by now that would be quadratic.
Step clear_some(std::vector<Level>* levels, uint64_t* removed) {
  const int at = levels->back().fd.get();
  alignas(dirent64) char buffer[16384];
  const long n = syscall(SYS_getdents64, at, buffer, sizeof buffer);
  if (n < 0) return Step::kFailed;
  if (n == 0) return Step::kEmpty;
  for (long offset = 0; offset < n;) {
    const auto* entry = reinterpret_cast<const dirent64*>(buffer + offset);
    offset += entry->d_reclen;
    const char* name = entry->d_name;
    if (std::string_view(name) == "." || std::string_view(name) == "..") continue;
    if (unlinkat(at, name, 0) == 0) {
      ++*removed;
      continue;
    }
    if (errno != EISDIR) return Step::kFailed;
    if (lseek(at, entry->d_off, SEEK_SET) < 0) return Step::kFailed;
    levels->push_back({name, Fd(openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))});
    return levels->back().fd ? Step::kDescended : Step::kFailed;
  }
  return Step::kMore;
}

}  // namespace

bool remove_tree(int directory, const char* name, uint64_t* removed) {
  if (unlinkat(directory, name, 0) == 0) {
    ++*removed;
    return true;
  }
  if (errno != EISDIR) return false;
  // A stack of our own: the tree may be deeper than the thread's.
  std::vector<Level> levels;
  levels.push_back({name, Fd(openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))});
  if (!levels.back().fd) return false;
  while (!levels.empty()) {
    const Step step = clear_some(&levels, removed);
    if (step == Step::kFailed) return false;
    if (step != Step::kEmpty) continue;
    const std::string done = std::move(levels.back().name);
    levels.pop_back();
    const int parent = levels.empty() ? directory : levels.back().fd.get();
    if (unlinkat(parent, done.c_str(), AT_REMOVEDIR) != 0) return false;
    ++*removed;
  }
  return true;
}

}  // namespace berth::unpack
