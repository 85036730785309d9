#include "shim/null_device.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/text.h"
#include "shim/kernel.h"

namespace berth {
namespace {

constexpr uint64_t kInside = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

// Known by its number before it is opened, since an image or a volume may have put anything there: opening some devices
// does something, and opening a FIFO waits. Once more afterwards, since it may have been exchanged.
Fd open_null_of_root(int root) {
  const Fd there = kernel::open_how(root, "/dev/null", O_PATH | O_CLOEXEC, 0, kInside);
  if (!there || !is_null_device(there.get())) return Fd();
  Fd null = kernel::open_how(root, "/dev/null", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0, kInside);
  if (!null || !is_null_device(null.get()) || fcntl(null.get(), F_SETFL, 0) != 0) return Fd();
  return null;
}

}  // namespace

bool is_null_device(int fd) {
  struct stat about;
  return fstat(fd, &about) == 0 && S_ISCHR(about.st_mode) && about.st_rdev == makedev(1, 3);
}

Fd open_null_device(int pods) {
  if (pods < 0) return Fd(open("/dev/null", O_RDWR | O_CLOEXEC));
  Text<48> path("/proc/self/fd/");
  path.add_number(pods);
  return Fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
}

void take_null_of_root(int root) {
  Fd null;
  for (int fd = 0; fd < 3; fd++) {
    if (!is_null_device(fd)) continue;
    if (!null && !(null = open_null_of_root(root))) return;
    dup2(null.get(), fd);
  }
}

}  // namespace berth
