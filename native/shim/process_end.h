// The end of a process of a container, told by a pidfd.
//
// SIGCHLD and waitid(2) do not tell it while a tracer holds the dead one: who traces a process is told of its end
// first, and the parent when the tracer has waited, or is dead itself. A pod's containers must not keep each other from
// being stopped.
#pragma once

#include <sys/types.h>

#include "common/fd.h"
#include "shim/loop.h"

namespace berth {

struct Shim;

struct ProcessEnd : Watch {
  Shim* shim = nullptr;
  pid_t pid = 0;
  Fd fd;
};

// Of a child that has not been reaped, instead of whoever `end` was about. False with errno: only SIGCHLD tells.
bool process_end_watch(Shim& shim, ProcessEnd& end, pid_t pid);
// Idempotent.
void process_end_forget(ProcessEnd& end);

// Tells whoever it belongs to that a child has ended. Once for each: one that a tracer has held is reaped later, as an
// orphan that is nobody's any more. Its number is its own until then.
void process_ended(Shim& shim, pid_t pid, int wait_status);

}  // namespace berth
