// From nearly nothing to the user's command: code that needs no memory of the C library, no errno and no thread block.
// Compiled for itself (CMakeLists.txt), so that the compiler calls no function of the library either.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace berth {

constexpr size_t kExecPathBytes = 4096;
// For a path, and for another that tells what lies there.
constexpr size_t kExecRoom = 2 * kExecPathBytes;

// Executes args[0], in `path` (directories between colons) when it has no slash; `room` has kExecRoom. Comes back only
// with the reason: execve's errno, EISDIR for a directory, ELIBACC where the program is there and what it names as its
// interpreter or loader is not.
int bare_exec(char* const* args, char* const* env, const char* path, char* room);
// The exit code a shell would give for a command that could not be executed.
int code_for_failed_execve(int error);

// What an operation that did not lead to the command's execve says: the step in the upper half, errno in the lower.
enum class LaunchStep : uint32_t { kExecve, kSession, kTerminal };
constexpr uint32_t launch_word(LaunchStep step, int error) {
  return static_cast<uint32_t>(step) << 16 | (static_cast<uint32_t>(error) & 0xffff);
}

// Everything that the process which becomes the command finds in memory (launch_pad.h).
struct LaunchPad {
  size_t size;  // of the mapping that begins with this
  char* const* args;
  char* const* env;
  const char* path;
  char* room;
  char* stack;    // its upper end
  bool waits;     // for the word on kPadGoFd
  bool terminal;  // 0 is to become its controlling terminal
};

// Its descriptors besides 0, 1 and 2.
constexpr int kPadResultFd = 3;
constexpr int kPadGoFd = 4;

// What lets a few calls through a seccomp filter that may refuse them (seccomp_passage.h).
struct PassageSecret {
  uint64_t words[2];
};

// Clones a child of our own parent that goes on from the pad, on its stack. `number` is written before it runs.
// Never returns in the child. -errno when it fails.
long clone_from_pad(const LaunchPad& pad, std::atomic<int32_t>& number, const PassageSecret& secret);
unsigned long pad_clone_flags();

}  // namespace berth
