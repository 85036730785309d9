// Whether a process is (still) in a cgroup or below it, by the name that /proc gives: one look, however many are in it.
#pragma once

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <string_view>

#include "common/fd.h"
#include "common/text.h"

namespace berth {

// True when a line of /proc/<pid>/cgroup names `group` or what is below it. Where the hierarchy's mount shows only a
// part of it, the line has the rest in front.
inline bool names_group(std::string_view lines, std::string_view group) {
  if (group.empty()) return false;
  for (size_t at = 0; at < lines.size(); at++) {
    if (lines.size() - at < group.size()) return false;
    if (memcmp(lines.data() + at, group.data(), group.size()) != 0) continue;
    const size_t end = at + group.size();
    if (end == lines.size() || lines[end] == '\n' || lines[end] == '/') return true;
  }
  return false;
}

class GroupName {
 public:
  // The part of an absolute directory that is below its mount.
  bool of(const char* dir) {
    struct stat here;
    name_.clear();
    if (stat(dir, &here) != 0) return false;
    const std::string_view whole(dir);
    for (size_t end = whole.size(); end > 1; end--) {
      if (whole[end - 1] != '/') continue;
      struct stat above;
      const Path parent(slice(whole, 0, end - 1));
      if (stat(parent.empty() ? "/" : parent.c_str(), &above) != 0 || above.st_dev == here.st_dev) continue;
      break_at(whole, end);
      break;
    }
    return !name_.empty();
  }

  bool holds(pid_t pid) const {
    Text<48> path("/proc/");
    path.add_number(pid).add("/cgroup");
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char lines[16 * 1024];
    size_t size = 0;
    for (ssize_t n; file && size < sizeof lines; size += static_cast<size_t>(n)) {
      if ((n = read(file.get(), lines + size, sizeof lines - size)) <= 0) break;
    }
    return names_group({lines, size}, name_.view());
  }

  std::string_view view() const { return name_.view(); }

 private:
  // `end` is behind the slash above which the mount begins: its own name is the first component from there.
  void break_at(std::string_view whole, size_t end) {
    while (end < whole.size() && whole[end] != '/') end++;
    name_.add(slice(whole, end));
  }

  Path name_;
};

}  // namespace berth
