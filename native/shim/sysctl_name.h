// Which kernel parameter a name means. Pure.
#pragma once

#include <string_view>

#include "common/text.h"

namespace berth {

// The namespace a parameter belongs to. kNone: it is the node's and never written for a pod.
enum class SysctlScope { kNone, kNet, kIpc, kUts };

// "net.core.somaxconn" -> "sys/net/core/somaxconn". False for a name that is not plainly dotted: a slash, an empty
// part, a part of dots or any other character could mean another file than the one that was checked.
bool sysctl_path(std::string_view name, Path& path);
SysctlScope sysctl_scope(std::string_view name);

}  // namespace berth
