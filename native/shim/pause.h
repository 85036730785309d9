// The process that holds the pod's namespaces.
#pragma once

#include "shim/child.h"
#include "shim/messages.h"

namespace berth {

struct PauseLaunch {
  const berth_shim_StartPod* plan;
  Shared<ChildPage>& page;
  int sync;
  int net_namespace;  // -1: none was handed over
};

// Paths inside pause's own mount namespace: what a container's child finds after it has joined it.
inline constexpr char kPodShm[] = "/shm";        // the pod's /dev/shm
inline constexpr char kPodRoot[] = "/root";      // where a container's root is put together
inline constexpr char kPodLayers[] = "/layers";  // where its image layers are brought in
inline constexpr char kPodStore[] = "/store";    // where its upper and work directories are brought in
inline constexpr char kPodMask[] = "/mask";      // an empty read-only directory: masks directories
inline constexpr char kPodNull[] = "/null";      // a read-only null device: masks files, stands in for missing streams
// A procfs of the pid namespace that a container is to be in, in the mount namespace that pause or another container
// has given to the shim (kSaysTable); with users of the pod's own in pause's itself. Nobody else can mount anything
// over it.
inline constexpr char kPodProc[] = "/proc";
// Only with a user namespace: the kernel lets its containers mount /proc and /sys while one of each is in sight.
inline constexpr char kPodSys[] = "/sys";

[[noreturn]] void run_pause(const PauseLaunch& launch);
// In a user namespace that the shim is about to fill: makes pause in these namespaces, from inside.
[[noreturn]] void run_first_pause(const PauseLaunch& launch, uint64_t namespaces);

}  // namespace berth
