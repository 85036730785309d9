#include "tests/shim/scarce.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

namespace check {
namespace {

Scarcity own;

}  // namespace

Scarcity* scarcity = &own;

namespace {

bool refuse() {
  int left = scarcity->left.load();
  while (left > 0 && !scarcity->left.compare_exchange_weak(left, left - 1)) continue;
  if (left != 1) return false;
  scarcity->refused++;
  errno = ENOMEM;
  return true;
}

}  // namespace
}  // namespace check

extern "C" {

void* __real_malloc(size_t size);
void* __real_calloc(size_t count, size_t size);
void* __real_realloc(void* old, size_t size);
void* __real_mmap64(void* at, size_t size, int protection, int flags, int fd, off_t offset);

void* __wrap_malloc(size_t size) {
  return check::refuse() ? nullptr : __real_malloc(size);
}
void* __wrap_calloc(size_t count, size_t size) {
  return check::refuse() ? nullptr : __real_calloc(count, size);
}
void* __wrap_realloc(void* old, size_t size) {
  return check::refuse() ? nullptr : __real_realloc(old, size);
}
void* __wrap_mmap64(void* at, size_t size, int protection, int flags, int fd, off_t offset) {
  return check::refuse() ? MAP_FAILED : __real_mmap64(at, size, protection, flags, fd, offset);
}
}
