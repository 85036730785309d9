#pragma once

#include <linux/filter.h>

namespace berth {

// Leaves the calling process nothing but what pause does: wait, say one word and close its last descriptor.
extern const sock_fprog kPauseFilter;

}  // namespace berth
