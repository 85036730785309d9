// ENOSYS for system calls that are younger than a profile.
//
// A profile that refuses by default with EPERM breaks programs that try a new call and fall back when the kernel does
// not have it: they understand ENOSYS only. Calls with a number above the highest one the profile names did not exist
// when it was written, so they "do not exist" for the container.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace berth::addon {

struct NewestSyscall {
  // AUDIT_ARCH_*
  uint32_t architecture;
  uint32_t number;
};

// Instructions that go before a filter and fall into its first one.
std::vector<sock_filter> refuse_newer(const std::vector<NewestSyscall>& newest);

}  // namespace berth::addon
