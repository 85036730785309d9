// Gives back what a moment of work has touched, so that a process that waits for months holds only what it needs.
#pragma once

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace berth {

// A sanitizer keeps its books in memory of its own, which nothing may give back under it.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// 4096 on most machines; 16 or 64 KiB with some kernels for arm64. Not by getauxval(3): release_callers gives that
// back.
inline uintptr_t memory_page() {
  return static_cast<uintptr_t>(getpagesize());
}

inline uintptr_t page_start(uintptr_t address) {
  return address & ~(memory_page() - 1);
}

inline uintptr_t page_end(uintptr_t address) {
  return page_start(address + memory_page() - 1);
}

inline constexpr uintptr_t kStackReach = 256 * 1024;

// The pages of the stack below the caller's: deep calls have left them dirty, and they are rarely needed again.
// What the range covers beyond the stack's mapping is not mapped (the guard gap) and is skipped by the kernel.
[[gnu::noinline]] inline void release_stack() {
  constexpr uintptr_t kInUse = 256;  // this frame and madvise's
  const uintptr_t end = page_start(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) - kInUse);
  madvise(reinterpret_cast<void*>(end - kStackReach), kStackReach, MADV_DONTNEED);
}

// Where the page with the arguments begins, at the top of the stack: it stays, for ps.
inline uintptr_t arguments_page() {
  return page_start(reinterpret_cast<uintptr_t>(program_invocation_name));
}

// The pages of the stack above a frame, for a function that never returns: its callers' frames are of no use any more,
// nor are the environment and the auxiliary vector.
// `frame` is that function's __builtin_frame_address(0).
inline void release_callers(const void* frame) {
  const uintptr_t in_use = reinterpret_cast<uintptr_t>(frame) + 2 * sizeof(void*);
  const uintptr_t from = page_end(in_use);
  const uintptr_t to = arguments_page();
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

}  // namespace berth
