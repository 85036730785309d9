// The cgroup file systems as a container sees them: rooted at its own cgroup, by the cgroup namespace it is in by now.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/build.h"
#include "shim/kernel.h"

namespace berth {
namespace {

constexpr uint64_t kTmpfsFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

bool only_v2(const berth_shim_ContainerPlan& plan) {
  for (pb_size_t i = 0; i < plan.cgroup_dirs_count; i++) {
    if (!plan.cgroup_dirs[i].v2) return false;
  }
  return plan.cgroup_dirs_count > 0;
}

// The hierarchy a directory belongs to, from the super block's own word: "cpu,cpuacct" or "name=systemd" are the last
// parts of its path by convention, which is also how the directories in the view are named.
std::string_view hierarchy_of(std::string_view dir) {
  constexpr std::string_view kBase = "/sys/fs/cgroup/";
  if (!starts_with(dir, kBase)) return {};
  const std::string_view rest = slice(dir, kBase.size());
  size_t size = 0;
  while (size < rest.size() && rest[size] != '/') size++;
  return slice(rest, 0, size);
}

bool link_members(Build& build, int at, std::string_view name) {
  if (memchr(name.data(), ',', name.size()) == nullptr) return true;
  const Text<64> target(name);
  for (size_t from = 0; from <= name.size();) {
    size_t to = from;
    while (to < name.size() && name[to] != ',') to++;
    const Text<64> link(slice(name, from, to - from));
    if (symlinkat(target.c_str(), at, link.c_str()) != 0 && errno != EEXIST) {
      return build.fault.kernel("cgroup", link.view(), errno);
    }
    from = to + 1;
  }
  return true;
}

bool mount_hierarchy(Build& build, int at, std::string_view name, uint64_t flags) {
  const Text<64> dir(name);
  if (mkdirat(at, dir.c_str(), 0555) != 0) return errno == EEXIST ? true : build.fault.kernel("cgroup", name, errno);
  const Fd place(openat(at, dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  Text<80> options;
  if (name == "systemd") options.add("none,name=");  // the one named hierarchy in use
  options.add(name);
  if (!place || fchdir(place.get()) != 0 || mount("cgroup", ".", "cgroup", flags, options.c_str()) != 0) {
    return build.fault.kernel("cgroup", name, errno);
  }
  return link_members(build, at, name);
}

bool mount_v1(Build& build, const berth_shim_Mount& mount, int at) {
  if (fchdir(at) != 0 || ::mount("tmpfs", ".", "tmpfs", kTmpfsFlags, "mode=0755,size=64k") != 0) {
    return build.fault.kernel("cgroup", view_of(mount.destination), errno);
  }
  // What is on top now, not what the descriptor held before. The directory was opened inside the root.
  const Fd view = kernel::open_how(build.root.get(), mount.destination, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
                                   RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!view) return build.fault.kernel("cgroup", view_of(mount.destination), errno);
  for (pb_size_t i = 0; i < build.plan.cgroup_dirs_count; i++) {
    const berth_shim_CgroupDir& dir = build.plan.cgroup_dirs[i];
    const std::string_view name = hierarchy_of(view_of(dir.dir));
    if (dir.v2 || name.empty()) continue;
    if (!mount_hierarchy(build, view.get(), name, mount.flags)) return false;
  }
  if ((mount.flags & MS_RDONLY) && !kernel::set_mount(view.get(), 0, MOUNT_ATTR_RDONLY, 0, 0)) {
    return build.fault.kernel("cgroup", view_of(mount.destination), errno);
  }
  return true;
}

}  // namespace

bool mount_cgroups(Build& build, const berth_shim_Mount& mount, int at) {
  if (!only_v2(build.plan)) return mount_v1(build, mount, at);
  if (fchdir(at) == 0 && ::mount("cgroup", ".", "cgroup2", mount.flags, nullptr) == 0) return true;
  return build.fault.kernel("cgroup", view_of(mount.destination), errno);
}

}  // namespace berth
