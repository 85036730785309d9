// What this shim knows. A plan that requires anything else is refused, so that no confinement is dropped silently.
#pragma once

#include <cstddef>
#include <string_view>

#include "shim/fault.h"

namespace berth {

inline constexpr const char* kFeatures[] = {
    "attach",          "apparmor",       "cgroup-mount",  "exec",     "image-volumes", "log",     "overlay",
    "pause-ended",     "large-requests", "pid-container", "pod-shm",  "propagation",   "rlimits", "recursive-readonly",
    "seccomp",         "selinux",        "sysctls",       "terminal", "tty-exec",      "resize",  "user-namespaces",
    "reserved-places", "volumes-kept",
};
inline constexpr size_t kFeatureCount = sizeof kFeatures / sizeof kFeatures[0];
inline constexpr unsigned kProtocol = 1;

inline bool known_features(char* const* names, size_t count, Fault& fault) {
  for (size_t i = 0; i < count; i++) {
    const std::string_view name = names[i] == nullptr ? "" : names[i];
    bool known = false;
    for (const char* feature : kFeatures) known |= name == feature;
    if (!known) return fault.refuse(FaultKind::kUnsupported, "requires", name, "this shim does not know it");
  }
  return true;
}

}  // namespace berth
