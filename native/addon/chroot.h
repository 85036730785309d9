// Whether this process sees the root of its mount namespace.
#pragma once

#include "addon/failure.h"

namespace berth::addon {

// True in a chroot: paths then mean other files to whoever enters the namespace afresh, as setns(2) puts its caller at
// the namespace's root. Needs CAP_SYS_ADMIN and CAP_SYS_CHROOT. Asks on a thread of its own, which alone is moved.
Result<bool> in_chroot();

}  // namespace berth::addon
