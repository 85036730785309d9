// The process that holds the pod's namespaces.
#pragma once

#include "shim/child.h"
#include "shim/messages.h"

namespace berth {

struct PauseLaunch {
  const berth_shim_StartPod* plan;
  ChildPage* page;
  int sync;
  int net_namespace;  // -1: none was handed over
};

// Paths inside pause's own mount namespace: what a container's child finds after it has joined it.
inline constexpr char kPodShm[] = "/shm";        // the pod's /dev/shm
inline constexpr char kPodRoot[] = "/root";      // where a container's root is put together
inline constexpr char kPodLayers[] = "/layers";  // where its image layers are brought in
inline constexpr char kPodStore[] = "/store";    // where its upper and work directories are brought in
inline constexpr char kPodMask[] = "/mask";      // an empty read-only directory: masks directories
inline constexpr char kPodNull[] = "/null";      // the node's /dev/null: masks files

[[noreturn]] void run_pause(const PauseLaunch& launch);

}  // namespace berth
