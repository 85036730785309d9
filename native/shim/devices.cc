// Device nodes and the links everybody expects in /dev.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <utility>

#include "shim/build.h"
#include "shim/kernel.h"
#include "shim/resolve.h"

namespace berth {
namespace {

bool same_device(int dir, const char* name, mode_t type, dev_t number) {
  struct stat about;
  return fstatat(dir, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && (about.st_mode & S_IFMT) == type &&
         about.st_rdev == number;
}

// The node's own, as nobody inside may make one; its times are nobody's to change here. Read-only is the inode, not
// what is written to the device.
bool bind_device(Build& build, const berth_shim_Device& device, pb_size_t index) {
  if (!build.device_trees[index]) return true;  // gone since it was found
  const Fd at = make_in_root(build.root.get(), view_of(device.path), Kind::kFile, build.fault);
  if (!at) return false;
  const Fd tree = std::move(build.device_trees[index]);
  return kernel::set_mount(tree.get(), 0, MOUNT_ATTR_RDONLY, 0, 0) && kernel::attach(tree.get(), at.get())
             ? true
             : build.fault.kernel("device", device.path, errno);
}

// In a volume, that is on the node, nothing is made: one that was asked for must lie there already.
bool find_in_volume(Build& build, const berth_shim_Device& device, int dir, const char* name) {
  const dev_t number = makedev(device.major, device.minor);
  if (device.by_default || same_device(dir, name, device.type & S_IFMT, number)) return true;
  return build.fault.refuse(FaultKind::kRequest, "device", view_of(device.path),
                            "it lies in a volume that does not have that device");
}

bool is_there(int dir, const char* name) {
  struct stat about;
  return fstatat(dir, name, &about, AT_SYMLINK_NOFOLLOW) == 0;
}

bool make_device(Build& build, const berth_shim_Device& device, pb_size_t index) {
  const std::string_view path = view_of(device.path);
  size_t slash = path.size();
  while (slash > 0 && path[slash - 1] != '/') slash--;
  const Path name(slice(path, slash));
  const mode_t type = device.type & S_IFMT;
  const bool sound = path.size() > 1 && path.front() == '/' && !name.empty() && name.view() != "." &&
                     name.view() != ".." && (type == S_IFCHR || type == S_IFBLK);
  if (!sound) return build.fault.refuse(FaultKind::kBadMessage, "device", path, "not a device path");
  const Fd dir = make_in_root(build.root.get(), slice(path, 0, slash), Kind::kDirectory, build.fault, &build.own);
  if (!dir && errno != EXDEV) return false;
  if (!dir || !build.own.has(place_of(dir.get()))) return find_in_volume(build, device, dir.get(), name.c_str());
  if (device.by_default && is_there(dir.get(), name.c_str())) return true;
  const dev_t number = makedev(device.major, device.minor);
  if (build.user_namespace) return bind_device(build, device, index);
  if (mknodat(dir.get(), name.c_str(), type | (device.mode & 0777), number) != 0) {
    if (errno != EEXIST || !same_device(dir.get(), name.c_str(), type, number)) {
      return build.fault.kernel("mknod", path, errno);
    }
    return true;
  }
  if ((device.uid != 0 || device.gid != 0) &&
      fchownat(dir.get(), name.c_str(), device.uid, device.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return build.fault.kernel("chown", path, errno);
  }
  return true;
}

bool make_links(Build& build) {
  static constexpr struct {
    const char *name, *target;
  } kLinks[] = {{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
                {"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},      {"ptmx", "pts/ptmx"}};
  const Fd dev = open_in_root(build.root.get(), "/dev");
  if (!dev) return build.fault.kernel("open", "/dev", errno);
  // A /dev that is the image's or a volume's is left as it is.
  if (build.own.dev == 0 || place_of(dev.get()).mount != build.own.dev) return true;
  for (const auto& link : kLinks) {
    if (symlinkat(link.target, dev.get(), link.name) != 0 && errno != EEXIST) {
      return build.fault.kernel("symlink", link.name, errno);
    }
  }
  return true;
}

}  // namespace

namespace {

bool open_device(Build& build, const berth_shim_Device& device, Fd& tree) {
  const char* const source = view_of(device.source).empty() ? device.path : device.source;
  touching(build.page, source);
  tree = kernel::open_tree(AT_FDCWD, source, OPEN_TREE_CLONE);
  struct stat about;
  if (!tree || fstat(tree.get(), &about) != 0) return build.fault.kernel("device", source, errno);
  const bool same =
      (about.st_mode & S_IFMT) == (device.type & S_IFMT) && about.st_rdev == makedev(device.major, device.minor);
  return same ? true : build.fault.kernel("device", source, ENODEV);
}

}  // namespace

// One that nobody asked for may have been unplugged, or be another, since it was found.
bool open_devices(Build& build) {
  const size_t count = build.plan.devices_count;
  if (!build.device_trees.make(count)) return build.fault.kernel("device", "", ENOMEM);
  for (size_t i = 0; i < count; i++) {
    const berth_shim_Device& device = build.plan.devices[i];
    if (open_device(build, device, build.device_trees[i])) continue;
    const int error = build.fault.error;
    if (!device.by_default || (error != ENOENT && error != ENOTDIR && error != ENODEV)) return false;
    build.device_trees[i].reset();
    build.fault = Fault();
  }
  return true;
}

bool make_devices(Build& build) {
  enter_stage(build.page, Stage::kDevices);
  for (pb_size_t i = 0; i < build.plan.devices_count; i++) {
    if (!make_device(build, build.plan.devices[i], i)) return false;
  }
  return make_links(build);
}

}  // namespace berth
