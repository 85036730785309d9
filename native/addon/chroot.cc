#include "addon/chroot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "common/fd.h"

namespace berth::addon {
namespace {

// A directory and the mount it is seen through: a bind mount of the root is another root.
struct Place {
  uint64_t mount = 0, inode = 0;
  bool operator==(const Place&) const = default;
};

// Not statx(3): a C library may be older than the mount's id.
Result<Place> root_place() {
  struct statx found = {};
  if (syscall(SYS_statx, AT_FDCWD, "/", AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID, &found) < 0)
    return fail("statx", "/");
  return Place{found.stx_mnt_id, found.stx_ino};
}

Result<bool> compare_roots() {
  Result<Place> ours = root_place();
  if (!ours) return ours.failure();
  const char* path = "/proc/thread-self/ns/mnt";
  const Fd name_space(open(path, O_RDONLY | O_CLOEXEC));
  if (!name_space) return fail("open", path);
  // setns(2) refuses threads that share their root with others.
  if (unshare(CLONE_FS) < 0) return fail("unshare", "root directory");
  if (setns(name_space.get(), CLONE_NEWNS) < 0) return fail("setns", path);
  Result<Place> theirs = root_place();
  if (!theirs) return theirs.failure();
  return !(*ours == *theirs);
}

void* answer_into(void* answer) {
  *static_cast<Result<bool>*>(answer) = compare_roots();
  return nullptr;
}

}  // namespace

Result<bool> in_chroot() {
  Result<bool> answer = Failure{};
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, answer_into, &answer);
  if (error != 0) return fail_with(error, "pthread_create");
  pthread_join(thread, nullptr);
  return answer;
}

}  // namespace berth::addon
