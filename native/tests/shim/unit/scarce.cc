#include "tests/shim/unit/scarce.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

namespace check {
namespace {

constexpr int kPlenty = 0;

int left = kPlenty;  // how many calls are answered, and one; kPlenty: all
bool all = false;
bool refused = false;

bool refuse() {
  if (left == kPlenty || --left > 0) return false;
  refused = true;
  left = all ? 1 : kPlenty;
  errno = ENOMEM;
  return true;
}

}  // namespace

Scarce::Scarce(int nth, Refused refused_calls) {
  left = nth;
  all = refused_calls == kAll;
  refused = false;
}
Scarce::~Scarce() {
  left = kPlenty;
}
bool Scarce::felt() const {
  return refused;
}

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
