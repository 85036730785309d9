#include "shim/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "shim/kernel.h"
#include "shim/resolve.h"

namespace berth {
namespace {

bool send_master(int master) {
  char word = kSaysTerminal;
  iovec piece = {&word, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const passed = CMSG_FIRSTHDR(&message);
  passed->cmsg_level = SOL_SOCKET;
  passed->cmsg_type = SCM_RIGHTS;
  passed->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(passed), &master, sizeof master);
  return sendmsg(kSyncFd, &message, MSG_NOSIGNAL) == 1;
}

// Known by what it is: the multiplexer of a devpts, not whatever the image calls so.
Fd open_master(Build& build) {
  Fd master = kernel::open_how(build.root.get(), "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0,
                               RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  struct stat about;
  if (!master || fstat(master.get(), &about) != 0) return Fd();
  if (about.st_rdev == makedev(5, 2) && filesystem_of(master.get()) == DEVPTS_SUPER_MAGIC) return master;
  errno = ENOTTY;
  return Fd();
}

bool bind_console(Build& build, const Fd& user_side) {
  const Fd at = make_in_root(build.root.get(), "/dev/console", Kind::kFile, build.fault);
  if (!at) return false;
  const Fd tree = kernel::open_tree(user_side.get(), "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  return tree && kernel::attach(tree.get(), at.get()) ? true : build.fault.kernel("terminal", "/dev/console", errno);
}

}  // namespace

bool make_terminal(Build& build) {
  const berth_shim_Process& process = build.plan.process;
  const Fd master = open_master(build);
  if (!master) return build.fault.kernel("terminal", "/dev/pts/ptmx", errno);
  int locked = 0;
  ioctl(master.get(), TIOCSPTLCK, &locked);
  const Fd user_side(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!user_side) return build.fault.kernel("terminal", "TIOCGPTPEER", errno);
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(process.rows);
  size.ws_col = static_cast<unsigned short>(process.columns);
  if (process.rows != 0 && process.columns != 0) ioctl(master.get(), TIOCSWINSZ, &size);
  if (fchown(user_side.get(), process.uid, static_cast<gid_t>(-1)) != 0) warn(build.page, "terminal", 0, errno);
  if (build.dev_is_ours && !bind_console(build, user_side)) return false;
  for (int fd = 0; fd < 3; fd++) {
    if (dup2(user_side.get(), fd) != fd) return build.fault.kernel("terminal", "dup2", errno);
  }
  if (ioctl(0, TIOCSCTTY, 0) != 0) return build.fault.kernel("terminal", "TIOCSCTTY", errno);
  return send_master(master.get()) ? true : build.fault.kernel("terminal", "sendmsg", errno);
}

}  // namespace berth
