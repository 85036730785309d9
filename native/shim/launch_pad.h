// How a command's process is made where somebody can see it before its execve: in a pid namespace that containers
// share, one of them may have CAP_SYS_PTRACE over it, whatever we do (prctl(2) PR_SET_DUMPABLE does not stop him).
//
//   first (in the node's pid namespace, where no container sees it)      second (in the container's pid namespace)
//     cgroups, namespaces, root, terminal, limits
//     pad: command, stack; nothing else is passed on (MADV_DONTFORK)
//     filter, user, capabilities
//     clone, CLONE_PARENT ──────────────────────────────────────────▶ setsid, controlling terminal
//     exit                                                              waits for go (containers)
//                                                                       execve
//
// So whoever looks into the second finds what its command will have: its root, its descriptors (and two pipes), its
// capabilities, its filter, and of memory its arguments and environment. What it says is one word on a pipe, which
// carries no descriptors, and is not believed to be ours.
#pragma once

#include "common/owned.h"
#include "shim/bare_exec.h"
#include "shim/child.h"
#include "shim/command.h"
#include "shim/seccomp_passage.h"

namespace berth {

// Null with a fault. The pad lies in `room`.
LaunchPad* pad_make(const Command& command, bool terminal, bool waits, Pages& room, Fault& fault);

// From here on a child gets only the pad of our memory, and of our descriptors 0, 1, 2 and those of the pad. The caller
// goes on with all of it, but allocates no more and has nothing left to say but through the page.
bool pad_seal(const LaunchPad& pad, Fault& fault);

// Makes the second, and ends. `name`: what a fault of its execve is about.
[[noreturn]] void pad_launch(const LaunchPad& pad, ChildPage& page, const PassageSecret& secret, const char* name);

// What the second has said.
enum class Launched { kNothing, kRuns, kFailed };
// Reads it from the pipe. kRuns: its end is closed, by execve or because it has died. kFailed: the page has the reason.
Launched hear_launch(int result, ChildPage& page);

}  // namespace berth
