// This architecture's number in what a seccomp filter sees.
#pragma once

#include <linux/audit.h>

namespace berth {

#if defined(__x86_64__)
inline constexpr unsigned kSeccompArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
inline constexpr unsigned kSeccompArch = AUDIT_ARCH_AARCH64;
#else
#error "name this architecture's audit number"
#endif

}  // namespace berth
