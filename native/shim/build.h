// A container's root being put together. Used only in the container's own child, which may block and be killed.
#pragma once

#include "common/fd.h"
#include "common/owned.h"
#include "common/text.h"
#include "shim/child.h"
#include "shim/messages.h"
#include "shim/resolve.h"

namespace berth {

struct Build {
  ChildPage& page;
  Fault& fault;
  const berth_shim_ContainerPlan& plan;
  // One for each of plan.mounts that has a source on the node, detached, until it is attached.
  OwnedArray<Fd> trees = {};
  OwnedArray<Fd> device_trees = {};  // with a user namespace: one for each of plan.devices
  Fd user_namespace = {};            // the pod's, when it has one
  uid_t root_uid = 0;                // and its root on the node
  gid_t root_gid = 0;
  Fd overlay = {};                  // then: the root, mounted with the node's privileges and detached
  Fd layers = {}, store = {};       // detached trees of the image layers and of the upper and work directories
  Text<256> upper = {}, work = {};  // their names below `store`
  Fd root = {};                     // the container's root
  Place root_place = {};
  OwnMounts own = {};       // where things are made that nobody asked for
  bool nodes_pids = false;  // the pid namespace is the node's: else its procfs lies at kPodProc
};

// --- volumes.cc: in the node's mount namespace
bool open_sources(Build& build);
// --- devices.cc: there as well, with a user namespace
bool open_devices(Build& build);
// --- rootfs.cc: in the container's
bool open_rootfs(Build& build);
// With a user namespace: in a mount namespace of the node's root, before the pod's is entered.
bool prepare_overlay(Build& build);
bool mount_rootfs(Build& build);
bool enter_rootfs(Build& build);
// --- mounts.cc
bool make_mounts(Build& build);
bool attach_tree(Build& build, const berth_shim_Mount& mount, const Fd& tree);
// --- cgroup_view.cc
bool mount_cgroups(Build& build, const berth_shim_Mount& mount, int at);
// --- devices.cc
bool make_devices(Build& build);
// --- masks.cc
bool mask_paths(Build& build);

}  // namespace berth
