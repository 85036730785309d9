// A filter of the size and shape a runtime's default profile compiles to: what counts is the kernel's time to check,
// convert and attach it.
#pragma once

#include <linux/filter.h>

namespace floor_bench {

// Stays in memory for the life of the program.
sock_fprog compile_filter();

}  // namespace floor_bench
