#include "shim/user_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <unistd.h>

#include "common/text.h"
#include "shim/kernel.h"

namespace berth {
namespace {

bool write_map(pid_t child, const char* name, const IdRange& range) {
  Text<48> path("/proc/");
  path.add_number(child).add("/").add(name);
  Text<48> line("0 ");
  line.add_number(range.host).add(" ").add_number(range.length).add("\n");
  const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), line.c_str(), line.size()) == static_cast<ssize_t>(line.size());
}

}  // namespace

bool id_range_of(const berth_shim_IdMap* maps, size_t count, IdRange& range) {
  if (count != 1 || maps[0].container_id != 0 || maps[0].length == 0) return false;
  if (maps[0].host_id > UINT32_MAX - maps[0].length) return false;
  range = {maps[0].host_id, maps[0].length};
  return true;
}

bool write_id_maps(pid_t child, const IdRange& uids, const IdRange& gids) {
  return write_map(child, "uid_map", uids) && write_map(child, "gid_map", gids);
}

bool become_root_inside(Fault& fault) {
  if (setgroups(0, nullptr) != 0) return fault.kernel("setgroups", "user namespace", errno);
  if (setresgid(0, 0, 0) != 0) return fault.kernel("setgid", "user namespace", errno);
  if (setresuid(0, 0, 0) != 0) return fault.kernel("setuid", "user namespace", errno);
  return true;
}

pid_t clone_second(ChildPage& page, uint64_t namespaces) {
  clone_args args = {};
  // The number is written before the new child runs and whatever happens to us: nobody is made that the shim cannot
  // find.
  args.flags = namespaces | CLONE_PARENT | CLONE_PARENT_SETTID;
  args.parent_tid = reinterpret_cast<uint64_t>(&page.second);
  return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
}

bool map_tree(int tree, int user_namespace, bool recursive) {
  mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<uint64_t>(user_namespace);
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return syscall(SYS_mount_setattr, tree, "", flags, &attr, sizeof attr) == 0;
}

}  // namespace berth
