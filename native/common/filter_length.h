// How long a seccomp filter may be that a shim loads: what the kernel takes (BPF_MAXINSNS), less the shim's own before
// it.
#pragma once

#include <cstddef>

namespace berth {

constexpr size_t kFilterInstructions = 4075;

}  // namespace berth
