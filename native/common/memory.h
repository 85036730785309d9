// Gives back what a moment of work has touched, so that a process that waits for months holds only what it needs.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

extern "C" void* __libc_stack_end;  // set by the C library before main

namespace berth {

// The pages of the stack below the caller's frame: deep calls have left them dirty, and they are rarely needed again.
// What the range covers beyond the stack's mapping is not mapped (the guard gap) and is skipped by the kernel.
[[gnu::noinline]] inline void release_stack() {
  constexpr uintptr_t kPage = 4096, kReach = 256 * 1024;
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const uintptr_t end = (here & ~(kPage - 1)) - kPage;  // one page is kept for the calls to come
  madvise(reinterpret_cast<void*>(end - kReach), kReach, MADV_DONTNEED);
}

// The pages of the stack above a frame, for a function that never returns: its callers' frames are of no use any more.
// `frame` is that function's __builtin_frame_address(0). The pages with the arguments stay, for ps.
inline void release_callers(const void* frame) {
  constexpr uintptr_t kPage = 4096;
  const uintptr_t from = (reinterpret_cast<uintptr_t>(frame) + 2 * sizeof(void*) + kPage - 1) & ~(kPage - 1);
  const uintptr_t to = reinterpret_cast<uintptr_t>(__libc_stack_end) & ~(kPage - 1);
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

// The heap, and with it the thread's block (which a static program has there), for a function that never returns and
// from here on only makes system calls. The stack protector's own value is among it, so the caller must not be
// protected.
[[gnu::always_inline]] inline void release_heap() {
  constexpr uintptr_t kPage = 4096, kBeforeThread = 256;
  const auto end = reinterpret_cast<uintptr_t>(sbrk(0));
  const uintptr_t from = (reinterpret_cast<uintptr_t>(__builtin_thread_pointer()) - kBeforeThread) & ~(kPage - 1);
  if (from < end) madvise(reinterpret_cast<void*>(from), end - from, MADV_DONTNEED);
}

}  // namespace berth
