// berth-shim <pod id>: keeps one pod alive while berthd comes and goes.
//
// Started by berthd with the pod's directory as its working directory and
//   0 /dev/null, 1 and 2 a log file, 3 a listening unix socket, 4 the pod's directory (O_PATH), 5 the pod's network
//   namespace (only where berthd has made one).
// `berth-shim --can-map-users` ends at once as well, with 0 when pods can have users of their own (probe.h).
// Detaches itself: the process berthd has started ends at once, with 0 when the shim serves and 1 when it cannot.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "common/memory.h"
#include "shim/exits.h"
#include "shim/kernel.h"
#include "shim/limits.h"
#include "shim/probe.h"
#include "shim/process_end.h"
#include "shim/shim.h"

namespace berth {

void log_line(std::string_view what, int error) {
  Text<512> line("berth-shim: ");
  line.add(what);
  if (error != 0) line.add(": ").add(strerrordesc_np(error) != nullptr ? strerrordesc_np(error) : "unknown error");
  line.add("\n");
  if (write(STDERR_FILENO, line.c_str(), line.size()) < 0) return;  // nobody is left to be told
}

namespace {

constexpr int kListenerFd = 3;
constexpr int kPodDirFd = 4;
constexpr int kNetNamespaceFd = 5;
constexpr int kRestMs = 1000;
constexpr int kReapedPerTurn = 128;

// Everybody's start is the same: default signals, no descriptors but the agreed ones, not to be looked into.
void clean_start() {
  prctl(PR_SET_DUMPABLE, 0);
  kernel::close_fds(kNetNamespaceFd + 1, ~0u, 0);
  // Not by sigaction(3): it refuses the two real-time signals glibc keeps for itself, and a parent may ignore them.
  struct {
    void (*handler)(int) = SIG_DFL;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    uint64_t mask = 0;
  } standard;
  for (int i = 1; i < NSIG; i++) (void)syscall(SYS_rt_sigaction, i, &standard, nullptr, sizeof standard.mask);
  // All signals wait: SIGCHLD is read from a descriptor, and nothing but SIGKILL is to end a pod's shim.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  umask(022);
  for (int fd = kListenerFd; fd <= kNetNamespaceFd; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// A process of a container may make its parent its tracer (PTRACE_TRACEME), and then stops are told like ends. Nobody
// is traced by us: it gets its signal as if it had not asked.
void let_go(pid_t pid, int status) {
  const int signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
  ptrace(PTRACE_DETACH, pid, nullptr, static_cast<uintptr_t>(signal));
}

// Ten thousand may have ended at once: the others get their turns in between.
void reap(Shim& shim) {
  for (int i = 0; i < kReapedPerTurn; i++) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
    if (pid <= 0) return shutdown_progress(shim);
    if (!WIFEXITED(status) && !WIFSIGNALED(status)) {
      let_go(pid, status);
    } else {
      process_ended(shim, pid, status);
    }
  }
  shim.loop.arm(shim.signals.rest, 0);
}

void reap_the_rest(Deadline& deadline) {
  reap(*static_cast<Signals::Rest&>(deadline).shim);
}

void signals_ready(Watch& watch, uint32_t) {
  auto& signals = static_cast<Signals&>(watch);
  signalfd_siginfo info;
  while (read(signals.fd.get(), &info, sizeof info) == sizeof info) continue;
  reap(*signals.shim);
}

bool open_signals(Shim& shim) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  shim.signals.shim = shim.signals.rest.shim = &shim;
  shim.signals.rest.on_expired = reap_the_rest;
  shim.signals.on_ready = signals_ready;
  shim.signals.fd = Fd(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  return shim.signals.fd && shim.loop.watch(shim.signals.fd.get(), shim.signals, EPOLLIN);
}

bool open_shim(Shim& shim, const char* pod_id) {
  shim.pod_id = pod_id;
  shim.pod_dir = Fd(kPodDirFd);
  if (fcntl(kNetNamespaceFd, F_GETFD) >= 0) shim.net_namespace = Fd(kNetNamespaceFd);
  if (!exits_open(shim)) return log_line("exits", errno), false;
  if (!shim.loop.open() || !open_signals(shim)) return log_line("epoll", errno), false;
  fcntl(kListenerFd, F_SETFL, fcntl(kListenerFd, F_GETFL) | O_NONBLOCK);
  if (!listener_open(shim, kListenerFd)) return log_line("descriptor 3 is no listening socket", errno), false;
  return true;
}

// Room for every container's streams. What a container gets is in its plan.
void raise_descriptor_limit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= rlim_t{kDescriptors}) return;
  limit.rlim_cur = limit.rlim_max < rlim_t{kDescriptors} ? limit.rlim_max : rlim_t{kDescriptors};
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Runs in the detached process. `told` is closed without a word when the shim cannot serve.
[[noreturn]] void serve(const char* pod_id, Fd told) {
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "berth-shim");
  raise_descriptor_limit();
  Shim shim;
  if (!open_shim(shim, pod_id)) _exit(1);
  const char serving = 1;
  if (write(told.get(), &serving, 1) != 1) _exit(1);
  told.reset();
  release_callers(__builtin_frame_address(0));
  for (bool rested = false;;) {
    const bool worked = shim.loop.turn(rested ? -1 : kRestMs);
    if (!worked && !rested) release_stack();
    rested = !worked;
  }
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) {
  using namespace berth;
  clean_start();
  if (argc == 2 && argv[1] == kCheck) return 0;
  if (argc == 2 && argv[1] == kProbeUsers) return can_map_users() ? 0 : 1;
  if (argc != 2 || fcntl(kListenerFd, F_GETFD) < 0 || fcntl(kPodDirFd, F_GETFD) < 0) {
    log_line("usage: berth-shim <pod id>, with a listening socket as 3 and the pod's directory as 4");
    return 1;
  }
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) != 0) return log_line("pipe", errno), 1;
  const pid_t pid = fork();
  if (pid < 0) return log_line("fork", errno), 1;
  if (pid == 0) {
    close(pair[0]);
    serve(argv[1], Fd(pair[1]));
  }
  close(pair[1]);
  char serving = 0;
  return read(pair[0], &serving, 1) == 1 ? 0 : 1;
}
