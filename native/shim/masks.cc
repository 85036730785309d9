// Paths of the kernel's file systems that a container must not read, or not write.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "shim/build.h"
#include "shim/kernel.h"
#include "shim/pause.h"
#include "shim/resolve.h"

namespace berth {
namespace {

bool not_there(int error) {
  return error == ENOENT || error == ENOTDIR;
}

// A directory gets the pod's one empty read-only directory, everything else its read-only null device: never anything
// that the image or another container could have put there, nor what belongs to the node.
bool mask_one(Build& build, const char* path) {
  const Fd at = open_in_root(build.root.get(), path);
  if (!at) return not_there(errno) ? true : build.fault.kernel("mask", path, errno);
  struct stat about;
  if (fstat(at.get(), &about) != 0) return build.fault.kernel("mask", path, errno);
  const char* cover = S_ISDIR(about.st_mode) ? kPodMask : kPodNull;
  const Fd tree = kernel::open_tree(AT_FDCWD, cover, OPEN_TREE_CLONE);
  return tree && kernel::attach(tree.get(), at.get()) ? true : build.fault.kernel("mask", path, errno);
}

// The mount that lies there alone: what was asked for below it (/proc/sys/kernel/ns_last_pid) is as it was asked for.
bool make_readonly(Build& build, const char* path) {
  const Fd at = open_in_root(build.root.get(), path);
  if (!at) return not_there(errno) ? true : build.fault.kernel("readonly", path, errno);
  const Fd tree = kernel::open_tree(at.get(), "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH);
  return tree && kernel::set_mount(tree.get(), 0, MOUNT_ATTR_RDONLY, 0, 0) && kernel::attach(tree.get(), at.get())
             ? true
             : build.fault.kernel("readonly", path, errno);
}

}  // namespace

bool mask_paths(Build& build) {
  enter_stage(build.page, Stage::kMasks);
  for (pb_size_t i = 0; i < build.plan.readonly_paths_count; i++) {
    if (!make_readonly(build, build.plan.readonly_paths[i])) return false;
  }
  for (pb_size_t i = 0; i < build.plan.masked_paths_count; i++) {
    if (!mask_one(build, build.plan.masked_paths[i])) return false;
  }
  return true;
}

}  // namespace berth
