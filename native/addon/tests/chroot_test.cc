#include "addon/chroot.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "addon/tests/check.h"

using namespace berth::addon;

namespace {

enum Answer { kNo, kYes, kFailed };

// In a child with a mount namespace of its own, where the machine's root is also seen at another place.
Answer asked_behind(bool (*change_root)(const char* place)) {
  char place[] = "/tmp/berth-chroot-XXXXXX";
  CHECK(mkdtemp(place) != nullptr);
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) < 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        mount("/", place, nullptr, MS_BIND | MS_REC, nullptr) < 0 || !change_root(place)) {
      _exit(kFailed);
    }
    Result<bool> answer = in_chroot();
    _exit(!answer ? kFailed : *answer ? kYes : kNo);
  }
  int status = 0;
  waitpid(child, &status, 0);
  rmdir(place);
  return WIFEXITED(status) ? static_cast<Answer>(WEXITSTATUS(status)) : kFailed;
}

bool by_chroot(const char* place) {
  return chroot(place) == 0 && chdir("/") == 0;
}

bool by_pivot(const char* place) {
  return chdir(place) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
         chdir("/") == 0;
}

}  // namespace

TEST("a chroot is told from a root, also where it shows the same files") {
  if (geteuid() != 0) {
    printf("SKIPPED: asking for the root of a mount namespace needs root\n");
    return;
  }
  CHECK(asked_behind(by_chroot) == kYes);
  CHECK(asked_behind(by_pivot) == kNo);
}

TEST("asking does not move the one who asks") {
  if (geteuid() != 0) return;
  char before[4096], after[4096];
  CHECK(getcwd(before, sizeof before) != nullptr);
  CHECK(static_cast<bool>(in_chroot()));
  CHECK(getcwd(after, sizeof after) != nullptr && std::string(before) == after);
}
