// What a layer that takes over the unpacker could still do: write below its own root, and nothing else.
#pragma once

#include "unpack/failure.h"

namespace berth::unpack {

// Steps 1 to 4 of 5, in one thread: no core file, an empty network namespace, the destination as root, few
// capabilities, no new ones. `destination` is a directory descriptor and is closed. Needs root.
bool enter_sandbox(int destination, Failure* failure);

// Step 5, when all threads are there: only the system calls of reading, writing and waiting, for every thread.
bool confine_system_calls(Failure* failure);

}  // namespace berth::unpack
