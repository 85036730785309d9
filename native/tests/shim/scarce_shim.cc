// Part of a shim that is built for its tests alone: what memory it and its children are refused is said by who started
// it, in a file that is mapped before anything else happens (scarce.py).
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/shim/scarce.h"

namespace {

[[gnu::constructor]] void share_scarcity() {
  const char* const path = getenv("BERTH_SCARCITY");
  const int fd = path == nullptr ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) _exit(98);
  void* const page = mmap(nullptr, sizeof(check::Scarcity), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (page == MAP_FAILED) _exit(98);
  check::scarcity = static_cast<check::Scarcity*>(page);
}

}  // namespace
