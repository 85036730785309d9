// What a container brings in from the node: opened as detached trees while its child is still in the node's mount
// namespace. Any of these paths may lie on a dead server and never answer; the child may be killed for it.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "shim/build.h"
#include "shim/kernel.h"
#include "shim/user_namespace.h"

namespace berth {
namespace {

bool make_source(const char* path) {
  Path prefix;
  const size_t size = strlen(path);
  for (size_t i = 1; i <= size; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    prefix.clear();
    prefix.add({path, i});
    if (prefix.cut()) return errno = ENAMETOOLONG, false;
    if (mkdir(prefix.c_str(), 0755) != 0 && errno != EEXIST) return false;
  }
  return true;
}

const char* source_of(const Build& build, const berth_shim_Mount& mount) {
  if (mount.kind == berth_shim_Mount_Kind_BIND) return mount.source;
  // The node's own, where the pod has no ipc namespace; the pod's is found in its mount namespace later.
  const bool nodes_shm = mount.kind == berth_shim_Mount_Kind_POD_SHM && build.plan.ipc == berth_shim_NsMode_NS_HOST;
  return nodes_shm ? "/dev/shm" : nullptr;
}

// The optional fields of a mount's line in mountinfo (proc(5)): "shared:N", "master:N", up to the hyphen.
bool has_peers(uint64_t mount_id, bool slave_suffices) {
  const Fd file(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  Text<24> id;
  id.add_number(static_cast<int64_t>(mount_id));
  constexpr int kFirstOptional = 6;
  Text<24> field;  // as much of it as tells what it is
  int number = 0;
  bool this_line = false;
  char piece[4096];
  for (ssize_t n; file && (n = read(file.get(), piece, sizeof piece)) > 0;) {
    for (const char c : std::string_view(piece, static_cast<size_t>(n))) {
      if (c != ' ' && c != '\n') {
        field.add({&c, 1});
        continue;
      }
      if (number == 0) this_line = field.view() == id.view();
      if (this_line && number >= kFirstOptional) {
        if (starts_with(field.view(), "shared:")) return true;
        if (slave_suffices && starts_with(field.view(), "master:")) return true;
        if (field.view() == "-") return false;
      }
      number = c == '\n' ? 0 : number + 1;
      field.clear();
    }
  }
  return false;
}

// Propagation needs a source mount that takes part in it: a private one would look right and never propagate.
bool check_propagation(Build& build, const berth_shim_Mount& mount, const char* source) {
  if (mount.propagation == berth_shim_Propagation_PRIVATE) return true;
  const bool slave = mount.propagation == berth_shim_Propagation_SLAVE;
  struct statx about;
  if (statx(AT_FDCWD, source, 0, STATX_MNT_ID, &about) != 0) return build.fault.kernel("statx", source, errno);
  if (has_peers(about.stx_mnt_id, slave)) return true;
  return build.fault.refuse(
      FaultKind::kState, "propagation", source,
      slave ? "it lies on a mount that is neither shared nor slave" : "it does not lie on a shared mount");
}

bool map_volume(Build& build, const char* source, const Fd& tree) {
  if (!build.user_namespace) {
    return build.fault.refuse(FaultKind::kBadMessage, "idmap", source, "the pod has no user namespace");
  }
  return map_tree(tree.get(), build.user_namespace.get(), true) ? true : build.fault.kernel("idmap", source, errno);
}

bool open_source(Build& build, const berth_shim_Mount& mount, const char* source, Fd& tree) {
  touching(build.page, source);
  if (source[0] != '/')
    return build.fault.refuse(FaultKind::kBadMessage, "mount", source, "the source is not absolute");
  // The clone keeps the source's peer group: mounts made on either side later are seen on the other, until the
  // propagation that was asked for is set.
  const unsigned flags = OPEN_TREE_CLONE | (mount.recursive ? AT_RECURSIVE : 0);
  tree = kernel::open_tree(AT_FDCWD, source, flags);
  if (!tree && errno == ENOENT && mount.create_source && make_source(source)) {
    tree = kernel::open_tree(AT_FDCWD, source, flags);
  }
  if (!tree) return build.fault.kernel("open_tree", source, errno);
  if (mount.idmapped && !map_volume(build, source, tree)) return false;
  return check_propagation(build, mount, source);
}

}  // namespace

bool open_sources(Build& build) {
  enter_stage(build.page, Stage::kVolumes);
  const size_t count = build.plan.mounts_count;
  if (!build.trees.make(count)) return build.fault.kernel("mount", "", ENOMEM);
  for (size_t i = 0; i < count; i++) {
    build.page.mount_index = static_cast<uint32_t>(i);
    const berth_shim_Mount& mount = build.plan.mounts[i];
    const char* source = source_of(build, mount);
    if (mount.kind == berth_shim_Mount_Kind_BIND && source == nullptr) source = "";
    if (source != nullptr && !open_source(build, mount, source, build.trees[i])) return false;
  }
  return true;
}

}  // namespace berth
