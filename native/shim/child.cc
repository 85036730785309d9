#include "shim/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "common/text.h"
#include "shim/kernel.h"
#include "shim/null_device.h"
#include "shim/shim.h"

namespace berth {

const char* stage_name(Stage stage) {
  static const char* const names[] = {"cloned",  "cgroup", "volumes", "namespaces", "rootfs", "mounts",
                                      "devices", "masks",  "pivot",   "confine",    "ready"};
  const auto index = static_cast<size_t>(stage);
  return index < sizeof names / sizeof names[0] ? names[index] : "setup";
}

pid_t second_of(const Shared<ChildPage>& page) {
  return page ? page->second.exchange(0) : 0;
}

bool is_second(const Shared<ChildPage>& page, pid_t pid) {
  return page && page->second.load() == pid;
}

void enter_stage(ChildPage& page, Stage stage) {
  page.touching[0] = '\0';
  page.stage.store(static_cast<uint32_t>(stage), std::memory_order_release);
  Text<16> name("berth:");
  name.add(stage_name(stage));
  prctl(PR_SET_NAME, name.c_str());
}

void touching(ChildPage& page, std::string_view path) {
  copy_text(page.touching, sizeof page.touching, path);
}

void warn(ChildPage& page, std::string_view what, int64_t value, int error) {
  constexpr uint32_t kRoom = sizeof page.warning / sizeof page.warning[0];
  if (page.warnings >= kRoom) return;
  Text<sizeof page.warning[0]> line(what);
  line.add(" ").add_number(value).add(": ").add(strerrorname_np(error) != nullptr ? strerrorname_np(error) : "refused");
  copy_text(page.warning[page.warnings++], sizeof page.warning[0], line.view());
}

bool make_sync(Fd& ours, Fd& childs) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  ours = Fd(pair[0]);
  childs = Fd(pair[1]);
  return true;
}

bool make_pipe(Fd& reads, Fd& writes) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) != 0) return false;
  reads = Fd(pair[0]);
  writes = Fd(pair[1]);
  return true;
}

int receive_word(int sync, Fd& fd_passed) {
  char word = 0;
  iovec piece = {&word, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(sync, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? -1 : 0;
  cmsghdr* const passed = CMSG_FIRSTHDR(&message);
  if (passed != nullptr && passed->cmsg_type == SCM_RIGHTS) {
    int fd;
    memcpy(&fd, CMSG_DATA(passed), sizeof fd);
    fd_passed = Fd(fd);
  }
  return n == 0 ? 0 : word;
}

bool send_word(char word, int fd) {
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
  memcpy(CMSG_DATA(passed), &fd, sizeof fd);
  return sendmsg(kSyncFd, &message, MSG_NOSIGNAL) == 1;
}

pid_t clone_child(uint64_t flags) {
  clone_args args = {};
  args.flags = flags;
  args.exit_signal = SIGCHLD;
  return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
}

namespace {

// Moves every wanted descriptor above the places that are going to be filled, so that none is overwritten.
bool lift(int& fd) {
  if (fd < 0) return true;
  fd = fcntl(fd, F_DUPFD_CLOEXEC, 32);
  return fd >= 0;
}

bool place(int fd, int at, int flags) {
  return fd < 0 ? close(at) == 0 || true : dup3(fd, at, flags) == at;
}

}  // namespace

bool take_fds_only(const ChildFds& wanted, Fault& fault) {
  ChildFds fds = wanted;
  bool ok = true;
  for (int& fd : fds.stdio) {
    if (fd < 0 || is_null_device(fd)) fd = open_null_device(wanted.null).release();
    ok = ok && fd >= 0 && lift(fd);
  }
  ok = ok && lift(fds.sync) && lift(fds.extra) && lift(fds.result) && lift(fds.go) && lift(fds.pids) && lift(fds.table);
  for (int i = 0; i < 3; i++) ok = ok && place(fds.stdio[i], i, 0);
  ok = ok && place(fds.sync, kSyncFd, O_CLOEXEC) && place(fds.extra, kExtraFd, O_CLOEXEC) &&
       place(fds.result, kResultFd, O_CLOEXEC) && place(fds.go, kGoFd, O_CLOEXEC) &&
       place(fds.pids, kPidsFd, O_CLOEXEC) && place(fds.table, kTableFd, O_CLOEXEC);
  if (!ok || !kernel::close_fds(kTableFd + 1, ~0u, 0)) return fault.kernel("descriptors", "", errno);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  return true;
}

void give_up(ChildPage& page) {
  page.failed.store(true, std::memory_order_release);
  _exit(1);
}

void child_failed(ChildPage& page, int exit_code) {
  page.failed.store(true, std::memory_order_release);
  (void)!write(kSyncFd, &kSaysFailed, 1);
  _exit(exit_code);
}

}  // namespace berth
