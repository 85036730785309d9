#include "shim/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "shim/kernel.h"
#include "shim/resolve.h"

namespace berth {
namespace {

// Known by what it is: the multiplexer of a devpts, not whatever the image calls so.
Fd open_master(int root) {
  Fd master =
      kernel::open_how(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  struct stat about;
  if (!master || fstat(master.get(), &about) != 0) return Fd();
  if (about.st_rdev == makedev(5, 2) && filesystem_of(master.get()) == DEVPTS_SUPER_MAGIC) return master;
  errno = ENOTTY;
  return Fd();
}

struct Terminal {
  Fd master, user_side;
};

bool open_terminal(int root, const berth_shim_Process& process, ChildPage& page, Terminal& terminal) {
  Fault& fault = page.fault;
  if (process.rows > UINT16_MAX || process.columns > UINT16_MAX) {
    return fault.refuse(FaultKind::kBadMessage, "terminal", "", "its size is out of bounds");
  }
  terminal.master = open_master(root);
  const int master = terminal.master.get();
  if (master < 0) {
    if (errno != ENOENT && errno != ENOTDIR && errno != ENOTTY && errno != ELOOP && errno != ENXIO) {
      return fault.kernel("terminal", "/dev/pts/ptmx", errno);
    }
    return fault.refuse(FaultKind::kRequest, "terminal", "/dev/pts/ptmx",
                        "no terminals lie there: a volume has taken their place");
  }
  int locked = 0;
  ioctl(master, TIOCSPTLCK, &locked);
  terminal.user_side = Fd(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.user_side) return fault.kernel("terminal", "TIOCGPTPEER", errno);
  if (process.rows != 0 && process.columns != 0) set_terminal_size(master, process.columns, process.rows);
  if (fchown(terminal.user_side.get(), process.uid, static_cast<gid_t>(-1)) != 0) warn(page, "terminal", 0, errno);
  return true;
}

bool take_terminal(const Terminal& terminal, Fault& fault) {
  for (int fd = 0; fd < 3; fd++) {
    if (dup2(terminal.user_side.get(), fd) != fd) return fault.kernel("terminal", "dup2", errno);
  }
  return send_word(kSaysTerminal, terminal.master.get()) ? true : fault.kernel("terminal", "sendmsg", errno);
}

// In a volume only over what lies there: nothing is made in it.
bool bind_console(Build& build, const Fd& user_side) {
  const Fd at = make_in_root(build.root.get(), "/dev/console", Kind::kFile, build.fault, &build.own);
  if (!at) return errno == EXDEV;
  const Fd tree = kernel::open_tree(user_side.get(), "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  return tree && kernel::attach(tree.get(), at.get()) ? true : build.fault.kernel("terminal", "/dev/console", errno);
}

}  // namespace

bool set_terminal_size(int master, uint32_t columns, uint32_t rows) {
  winsize size = {};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(rows);
  return ioctl(master, TIOCSWINSZ, &size) == 0;
}

bool make_terminal(Build& build) {
  Terminal terminal;
  if (!open_terminal(build.root.get(), build.plan.process, build.page, terminal)) return false;
  if (!bind_console(build, terminal.user_side)) return false;
  return take_terminal(terminal, build.fault);
}

bool control_terminal(Fault& fault) {
  return ioctl(0, TIOCSCTTY, 0) == 0 ? true : fault.kernel("terminal", "TIOCSCTTY", errno);
}

bool make_exec_terminal(const berth_shim_Process& process, ChildPage& page) {
  const Fd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return page.fault.kernel("terminal", "/", errno);
  Terminal terminal;
  return open_terminal(root.get(), process, page, terminal) && take_terminal(terminal, page.fault);
}

}  // namespace berth
