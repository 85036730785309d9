// The container's root: an overlay of image layers, or a directory of the node.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "shim/build.h"
#include "shim/kernel.h"
#include "shim/pause.h"
#include "shim/resolve.h"
#include "shim/user_namespace.h"

namespace berth {
namespace {

constexpr size_t kMaxLowers = 500;  // the kernel's own limit

// Overlay options are separated by commas and lower directories by colons: a name with either would become two.
bool plain_lower(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.front() == '.') return false;
  for (const char c : name) {
    if (c == ':' || c == ',' || c == '\\' || c == '\n') return false;
  }
  return true;
}

// Splits upper and work where they part: overlay wants both below one mount.
bool split_store(Build& build, Path& base) {
  const std::string_view upper = view_of(build.plan.rootfs.upper);
  const std::string_view work = view_of(build.plan.rootfs.work);
  size_t parting = 0;
  for (size_t i = 0; i < upper.size() && i < work.size() && upper[i] == work[i]; i++) {
    if (upper[i] == '/') parting = i;
  }
  base.add(parting == 0 ? std::string_view("/") : slice(upper, 0, parting));
  build.upper.add(slice(upper, parting + 1));
  build.work.add(slice(work, parting + 1));
  const auto bad = [](const Text<256>& name) {
    return name.empty() || name.cut() || memchr(name.c_str(), ',', name.size());
  };
  if (upper.empty() || upper.front() != '/' || work.empty() || work.front() != '/' || bad(build.upper) ||
      bad(build.work)) {
    return build.fault.refuse(FaultKind::kBadMessage, "rootfs", upper, "unusable upper or work directory");
  }
  return true;
}

bool open_directory(Build& build, const char* path, unsigned flags, Fd& tree) {
  touching(build.page, path);
  tree = kernel::open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | flags);
  return tree ? true : build.fault.kernel("rootfs", path, errno);
}

bool mount_overlay(Build& build) {
  const berth_shim_Rootfs& rootfs = build.plan.rootfs;
  Text<4096> data("lowerdir=");  // what mount(2) takes
  for (pb_size_t i = 0; i < rootfs.lowers_count; i++) {
    if (i > 0) data.add(":");
    data.add(rootfs.lowers[i]);
  }
  if (build.store) {
    data.add(",upperdir=").add(kPodStore).add("/").add(build.upper.view());
    data.add(",workdir=").add(kPodStore).add("/").add(build.work.view());
  }
  if (!view_of(rootfs.options).empty()) data.add(",").add(rootfs.options);
  if (data.cut()) return build.fault.refuse(FaultKind::kBadMessage, "rootfs", "", "too many or too long layer names");
  // The overlay takes its layers only from the mount table it is mounted in, so they are brought in first; short names
  // relative to the layers' directory keep a long list within mount(2)'s one page.
  if (!kernel::attach_at(build.layers.get(), kPodLayers) || chdir(kPodLayers) != 0) {
    return build.fault.kernel("rootfs", view_of(rootfs.layers_dir), errno);
  }
  if (build.store && !kernel::attach_at(build.store.get(), kPodStore)) {
    return build.fault.kernel("rootfs", view_of(rootfs.upper), errno);
  }
  if (mount("overlay", kPodRoot, "overlay", 0, data.c_str()) != 0) {
    return build.fault.kernel("overlay", data.view(), errno);
  }
  return chdir("/") == 0 ? true : build.fault.kernel("chdir", "/", errno);
}

}  // namespace

bool open_rootfs(Build& build) {
  const berth_shim_Rootfs& rootfs = build.plan.rootfs;
  if (!view_of(rootfs.bind).empty()) return open_directory(build, rootfs.bind, AT_RECURSIVE, build.layers);
  if (rootfs.lowers_count == 0 || rootfs.lowers_count > kMaxLowers || view_of(rootfs.layers_dir).empty()) {
    return build.fault.refuse(FaultKind::kBadMessage, "rootfs", "", "no layers, or too many");
  }
  for (pb_size_t i = 0; i < rootfs.lowers_count; i++) {
    if (!plain_lower(rootfs.lowers[i])) {
      return build.fault.refuse(FaultKind::kBadMessage, "rootfs", rootfs.lowers[i], "not a plain layer name");
    }
  }
  if (!open_directory(build, rootfs.layers_dir, 0, build.layers)) return false;
  if (view_of(rootfs.upper).empty()) return true;
  Path base;
  return split_store(build, base) && open_directory(build, base.c_str(), 0, build.store);
}

// An overlay of the node's root understands the layers as every other container's does (an overlay of the pod's users
// would not see trusted.* attributes); that its layers are id-mapped makes their files the pod's. One mapping, however
// many layers there are.
bool prepare_overlay(Build& build) {
  if (!view_of(build.plan.rootfs.bind).empty()) {
    return build.fault.refuse(FaultKind::kUnsupported, "rootfs", build.plan.rootfs.bind, "a bind with other users");
  }
  enter_stage(build.page, Stage::kRootfs);
  const int users = build.user_namespace.get();
  if (!map_tree(build.layers.get(), users, false)) {
    return build.fault.kernel("idmap", view_of(build.plan.rootfs.layers_dir), errno);
  }
  // The writable layer is the container's alone and keeps the pod's ids. Whoever mounts the overlay, the node's root,
  // makes files in `work`: on a mapped tree nobody of that number would exist.
  if (build.store &&
      fchownat(build.store.get(), build.upper.c_str(), build.root_uid, build.root_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return build.fault.kernel("chown", view_of(build.plan.rootfs.upper), errno);
  }
  if (setns(kExtraFd, CLONE_NEWNS) != 0 || unshare(CLONE_NEWNS) != 0) return build.fault.kernel("setns", "mnt", errno);
  if (!mount_overlay(build)) return false;
  build.overlay = kernel::open_tree(AT_FDCWD, kPodRoot, OPEN_TREE_CLONE);
  return build.overlay ? true : build.fault.kernel("open_tree", "rootfs", errno);
}

bool mount_rootfs(Build& build) {
  enter_stage(build.page, Stage::kRootfs);
  if (build.overlay) {
    if (!kernel::attach_at(build.overlay.get(), kPodRoot)) return build.fault.kernel("rootfs", kPodRoot, errno);
    build.overlay.reset();
  } else if (view_of(build.plan.rootfs.bind).empty()) {
    if (!mount_overlay(build)) return false;
  } else if (!kernel::set_mount(build.layers.get(), AT_RECURSIVE, 0, 0, MS_PRIVATE) ||
             !kernel::attach_at(build.layers.get(), kPodRoot)) {
    return build.fault.kernel("rootfs", build.plan.rootfs.bind, errno);
  }
  build.layers.reset();
  build.store.reset();
  build.root = Fd(open(kPodRoot, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!build.root) return build.fault.kernel("rootfs", kPodRoot, errno);
  build.root_place = place_of(build.root.get());
  build.own.root = build.root_place.mount;
  return true;
}

// From here on the container's root is /, and the node's and the pod's mounts are out of reach.
bool enter_rootfs(Build& build) {
  enter_stage(build.page, Stage::kPivot);
  if (build.plan.rootfs.readonly && !kernel::set_mount(build.root.get(), 0, MOUNT_ATTR_RDONLY, 0, 0)) {
    return build.fault.kernel("remount", "/", errno);
  }
  if (fchdir(build.root.get()) != 0 || !kernel::pivot_here()) return build.fault.kernel("pivot_root", "/", errno);
  if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) return build.fault.kernel("umount", "/", errno);
  return true;
}

}  // namespace berth
