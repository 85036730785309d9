// The plan's mounts, in its order, into the container's root. Destinations are resolved inside the root and mounted on
// by descriptor, so that nobody who can write to a shared volume can redirect one.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "shim/build.h"
#include "shim/kernel.h"
#include "shim/pause.h"
#include "shim/resolve.h"

namespace berth {
namespace {

#ifndef MS_NOSYMFOLLOW
constexpr uint64_t kNoSymFollow = 256;
#else
constexpr uint64_t kNoSymFollow = MS_NOSYMFOLLOW;
#endif

// mount(2)'s flags as mount_setattr(2)'s. Only what was asked for is changed: a source keeps its own restrictions.
void attributes_of(uint64_t flags, uint64_t& set, uint64_t& clear) {
  static constexpr struct {
    uint64_t flag, attribute;
  } kPairs[] = {{MS_RDONLY, MOUNT_ATTR_RDONLY},         {MS_NOSUID, MOUNT_ATTR_NOSUID},
                {MS_NODEV, MOUNT_ATTR_NODEV},           {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
                {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {kNoSymFollow, MOUNT_ATTR_NOSYMFOLLOW}};
  set = clear = 0;
  for (const auto& pair : kPairs) {
    if (flags & pair.flag) set |= pair.attribute;
  }
  if (flags & (MS_RELATIME | MS_NOATIME | MS_STRICTATIME)) {
    clear |= MOUNT_ATTR__ATIME;
    if (flags & MS_NOATIME) set |= MOUNT_ATTR_NOATIME;
    if (flags & MS_STRICTATIME) set |= MOUNT_ATTR_STRICTATIME;
  }
}

uint64_t propagation_of(berth_shim_Propagation propagation) {
  switch (propagation) {
    case berth_shim_Propagation_SLAVE:
      return MS_SLAVE;
    case berth_shim_Propagation_SHARED:
      return MS_SHARED;
    default:
      return MS_PRIVATE;
  }
}

// Below /proc only these may be covered, by what emulates them for a container or by the node's own, to be written;
// whichever way leads there.
bool may_cover_proc(const Build& build, int at) {
  for (const char* name :
       {"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/slabinfo", "/proc/stat",
        "/proc/swaps", "/proc/uptime", "/proc/sys/crypto/fips_enabled", "/proc/sys/kernel/ns_last_pid"}) {
    const Fd known = open_in_root_plainly(build.root.get(), name);
    if (known && place_of(known.get()) == place_of(at)) return true;
  }
  return false;
}

constexpr uint64_t kProcRootInode = 1;  // the kernel's own number for it

// Whether what is going to be /proc is a whole procfs: a new one, or the node's, as its own descriptor tells. Nothing
// may be put in its place through a link.
bool becomes_proc(Build& build, const berth_shim_Mount& mount, int at, const Fd* tree) {
  if (tree == nullptr) return mount.kind == berth_shim_Mount_Kind_FS && view_of(mount.fstype) == "proc";
  return filesystem_of(tree->get()) == PROC_SUPER_MAGIC && place_of(tree->get()).inode == kProcRootInode &&
         place_of(open_in_root_plainly(build.root.get(), "/proc").get()) == place_of(at);
}

// A mount over the root would hide what was made of it, a read-only mark among it, whichever links lead there. `tree`
// is what is going to lie there, null for what is made anew.
bool check_destination(Build& build, const berth_shim_Mount& mount, int at, const Fd* tree = nullptr) {
  const std::string_view destination = view_of(mount.destination);
  const auto refuse = [&](const char* why) {
    return build.fault.refuse(FaultKind::kRequest, "mount", destination, why);
  };
  if (place_of(at) == build.root_place) return refuse("it is the container's root");
  const bool on_proc = filesystem_of(at) == PROC_SUPER_MAGIC;
  if (on_proc) return may_cover_proc(build, at) || refuse("cannot be mounted because it is inside /proc");
  if (destination != "/proc" || becomes_proc(build, mount, at, tree)) return true;
  return refuse("cannot be mounted because it is not of type proc");
}

// procfs and sysfs are what later writes and masks rely on: their places must be plain directories.
Fd plain_place(Build& build, const berth_shim_Mount& mount) {
  Fd at = open_in_root_plainly(build.root.get(), mount.destination);
  if (!at && errno == ENOENT) {
    Fd made = make_in_root(build.root.get(), mount.destination, Kind::kDirectory, build.fault);
    if (!made) return Fd();
    at = open_in_root_plainly(build.root.get(), mount.destination);
  }
  if (!at) build.fault.kernel("mount", mount.destination, errno);
  return at;
}

// Where a file system of the kernel's goes. No volume lies there yet: what is in the way is the image's.
Fd place_of_filesystem(Build& build, const berth_shim_Mount& mount, bool plain) {
  Fd at = plain ? plain_place(build, mount)
                : make_in_root(build.root.get(), mount.destination, Kind::kDirectory, build.fault);
  struct stat about;
  const int error = at ? 0 : errno;
  const bool directory = at && fstat(at.get(), &about) == 0 && S_ISDIR(about.st_mode);
  if (directory && place_of(at.get()) != build.root_place) return at;
  if (at || error == ELOOP || error == ENOTDIR) {
    build.fault.refuse(FaultKind::kImage, "mount", mount.destination, "the image has no plain directory there");
    build.fault.error = at ? ENOTDIR : error;
  }
  return Fd();
}

// A procfs is about the pid namespace of whoever makes it, and we are not in the container's unless that is new.
bool attach_proc(Build& build, const berth_shim_Mount& mount, const Fd& at) {
  if (!view_of(mount.data).empty()) {
    return build.fault.refuse(FaultKind::kUnsupported, "mount", mount.destination, "options of a procfs");
  }
  const Fd tree = kernel::open_tree(AT_FDCWD, kPodProc, OPEN_TREE_CLONE);
  uint64_t set, clear;
  attributes_of(mount.flags, set, clear);
  return tree && kernel::set_mount(tree.get(), 0, set, clear, 0) && kernel::attach(tree.get(), at.get())
             ? true
             : build.fault.kernel("mount", mount.destination, errno);
}

bool mount_filesystem(Build& build, const berth_shim_Mount& mount) {
  const std::string_view type = view_of(mount.fstype);
  const bool needs_plain = type == "proc" || type == "sysfs";
  const Fd at = place_of_filesystem(build, mount, needs_plain);
  if (!at || !check_destination(build, mount, at.get())) return false;
  if (type == "proc" && !build.nodes_pids) return attach_proc(build, mount, at);
  if (fchdir(at.get()) != 0) return build.fault.kernel("mount", mount.destination, errno);
  const char* source = view_of(mount.source).empty() ? mount.fstype : mount.source;
  if (::mount(source, ".", mount.fstype, mount.flags, mount.data) != 0) {
    return build.fault.kernel("mount", mount.destination, errno);
  }
  // What is on top now, not what the descriptor held before.
  if (type == "tmpfs" && view_of(mount.destination) == "/dev") {
    build.own.dev = place_of(open_in_root(build.root.get(), "/dev").get()).mount;
  }
  return true;
}

bool mount_cgroup_view(Build& build, const berth_shim_Mount& mount) {
  const Fd at = place_of_filesystem(build, mount, false);
  return at && check_destination(build, mount, at.get()) && mount_cgroups(build, mount, at.get());
}

bool mount_pod_shm(Build& build, const berth_shim_Mount& mount, Fd& tree) {
  if (!tree) tree = kernel::open_tree(AT_FDCWD, kPodShm, OPEN_TREE_CLONE);
  return tree ? attach_tree(build, mount, tree) : build.fault.kernel("mount", "/dev/shm", errno);
}

bool mount_one(Build& build, const berth_shim_Mount& mount, Fd& tree) {
  const std::string_view destination = view_of(mount.destination);
  if (destination.empty() || destination.front() != '/') {
    return build.fault.refuse(FaultKind::kBadMessage, "mount", destination, "the destination is not absolute");
  }
  switch (mount.kind) {
    case berth_shim_Mount_Kind_BIND:
      return attach_tree(build, mount, tree);
    case berth_shim_Mount_Kind_POD_SHM:
      return mount_pod_shm(build, mount, tree);
    case berth_shim_Mount_Kind_FS:
      return mount_filesystem(build, mount);
    case berth_shim_Mount_Kind_CGROUP:
      return mount_cgroup_view(build, mount);
    default:
      return build.fault.refuse(FaultKind::kUnsupported, "mount", destination, "unknown kind of mount");
  }
}

// Image volumes that nothing is mounted on: mounts of their own, so that they stay writable under a read-only root.
bool make_image_volumes(Build& build) {
  const berth_shim_Rootfs& rootfs = build.plan.rootfs;
  for (pb_size_t i = 0; i < rootfs.volumes_count; i++) {
    const Fd at = make_in_root(build.root.get(), rootfs.volumes[i], Kind::kDirectory, build.fault);
    if (!at) return false;
    // The image's links are followed; one to the root would make all of it writable, or hide it.
    if (place_of(at.get()) == build.root_place) {
      return build.fault.refuse(FaultKind::kImage, "volume", rootfs.volumes[i], "a VOLUME of the image is its root");
    }
    if (!rootfs.readonly) continue;
    const Fd tree = kernel::open_tree(at.get(), "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
    if (!tree || !kernel::attach(tree.get(), at.get())) return build.fault.kernel("volume", rootfs.volumes[i], errno);
  }
  return true;
}

// The kernel's word for it is EINVAL, whichever of both is wrong. The source comes last: it may be cut.
bool check_kind(Build& build, const berth_shim_Mount& mount, Kind source, int at) {
  struct stat about;
  if (fstat(at, &about) != 0) return build.fault.kernel("mount", mount.destination, errno);
  const bool directory = S_ISDIR(about.st_mode);
  if (directory == (source == Kind::kDirectory)) return true;
  const bool asked_for = mount.kind == berth_shim_Mount_Kind_BIND && !mount.if_there;
  Text<sizeof build.fault.message> why;
  why.add(directory ? "it is a directory in the container, but the source a file: "
                    : "it is a file in the container, but the source a directory: ");
  why.add(view_of(mount.source));
  const FaultKind kind = asked_for ? FaultKind::kRequest : FaultKind::kImage;
  return build.fault.refuse(kind, "mount", mount.destination, why.view());
}

}  // namespace

bool attach_tree(Build& build, const berth_shim_Mount& mount, const Fd& tree) {
  struct stat about;
  if (fstat(tree.get(), &about) != 0) return build.fault.kernel("mount", mount.destination, errno);
  const Kind kind = S_ISDIR(about.st_mode) ? Kind::kDirectory : Kind::kFile;
  const OwnMounts* const own = mount.if_there ? &build.own : nullptr;
  const Fd at = make_in_root(build.root.get(), mount.destination, kind, build.fault, own);
  if (!at && own != nullptr && errno == EXDEV) return true;
  if (!at || !check_destination(build, mount, at.get(), &tree) || !check_kind(build, mount, kind, at.get()))
    return false;
  uint64_t set, clear;
  attributes_of(mount.flags, set, clear);
  const bool done = kernel::set_mount(tree.get(), AT_RECURSIVE, 0, 0, propagation_of(mount.propagation)) &&
                    (set == 0 || kernel::set_mount(tree.get(), 0, set, clear, 0)) &&
                    (!mount.recursive_readonly || kernel::set_mount(tree.get(), AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0));
  if (!done) return build.fault.kernel("mount_setattr", mount.destination, errno);
  return kernel::attach(tree.get(), at.get()) ? true : build.fault.kernel("mount", mount.destination, errno);
}

bool make_mounts(Build& build) {
  enter_stage(build.page, Stage::kMounts);
  if (!make_image_volumes(build)) return false;
  for (pb_size_t i = 0; i < build.plan.mounts_count; i++) {
    const berth_shim_Mount& mount = build.plan.mounts[i];
    build.page.mount_index = static_cast<uint32_t>(i);
    touching(build.page, view_of(mount.source));
    if (!mount_one(build, mount, build.trees[i])) return false;
    build.trees[i].reset();  // no descriptor of a volume is kept
  }
  touching(build.page, "");
  return chdir("/") == 0 ? true : build.fault.kernel("chdir", "/", errno);
}

}  // namespace berth
