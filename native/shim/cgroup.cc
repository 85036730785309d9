#include "shim/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "common/fd.h"
#include "common/text.h"

namespace berth {

bool write_file_at(int dir, const char* name, std::string_view text) {
  const Fd file(openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool cgroup_is_v2(int dir) {
  struct statfs about;
  return fstatfs(dir, &about) == 0 && about.f_type == CGROUP2_SUPER_MAGIC;
}

bool cgroup_enter(int dir) {
  return write_file_at(dir, cgroup_is_v2(dir) ? "cgroup.procs" : "tasks", "0");
}

bool cgroup_enter(std::string_view dir) {
  const Path path(dir);
  if (path.cut()) {
    errno = ENAMETOOLONG;
    return false;
  }
  const Fd fd(open(path.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  return fd && cgroup_enter(fd.get());
}

uint64_t cgroup_oom_kills(const char* file) {
  if (file == nullptr || file[0] == '\0') return 0;
  const Fd fd(open(file, O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t n = fd ? read(fd.get(), text, sizeof text - 1) : 0;
  if (n <= 0) return 0;
  text[n] = '\0';
  // A line of its own: "oom_kill_disable" begins with the same letters.
  for (const char* line = text; line != nullptr; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (starts_with(line, "oom_kill ")) return strtoull(line + strlen("oom_kill "), nullptr, 10);
  }
  return 0;
}

}  // namespace berth
