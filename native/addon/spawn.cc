#include "addon/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string_view>

namespace berth::addon {
namespace {

// All that the child reads and writes, prepared before vfork: in the child nothing may allocate.
struct Child {
  const char* path;
  int executable_fd;
  char* const* argv;
  char* const* env;
  const char* cwd;
  int cwd_fd;
  const int* fds;
  int fd_count;
  std::array<int, spawn_fd_limit> moved;
  // Written by the child, read by the parent: they share memory until execve.
  volatile int error;
  const char* volatile step;
};

// The kernel's struct sigaction; glibc's sigaction(3) refuses the two real-time signals it keeps for itself.
struct KernelAction {
  void* handler;
  unsigned long flags;
  void* restorer;
  unsigned long mask;
};

[[noreturn]] void give_up(Child* child, const char* step) {
  child->error = errno;
  child->step = step;
  _exit(127);
}

void default_signals() {
  const KernelAction standard{};
  for (int signal = 1; signal <= 64; ++signal) {
    // SIGKILL and SIGSTOP refuse; they are at their default anyway.
    (void)syscall(SYS_rt_sigaction, signal, &standard, nullptr, sizeof standard.mask);
  }
}

// Sources may overlap targets in any way, so all of them first move above the targets and from there into place.
void arrange_fds(Child* child) {
  for (int i = 0; i < child->fd_count; ++i) {
    child->moved[i] = child->fds[i] < 0 ? -1 : fcntl(child->fds[i], F_DUPFD_CLOEXEC, child->fd_count);
    if (child->fds[i] >= 0 && child->moved[i] < 0) give_up(child, "fcntl");
  }
  if (child->executable_fd >= 0 && child->executable_fd < child->fd_count) {
    child->executable_fd = fcntl(child->executable_fd, F_DUPFD_CLOEXEC, child->fd_count);
    if (child->executable_fd < 0) give_up(child, "fcntl");
  }
  for (int i = 0; i < child->fd_count; ++i) {
    if (child->moved[i] < 0) {
      (void)close(i);
    } else if (dup2(child->moved[i], i) < 0) {
      give_up(child, "dup2");
    }
  }
  // CLOEXEC instead of closing at once: execveat still needs the executable's own descriptor.
  if (syscall(SYS_close_range, child->fd_count, ~0U, CLOSE_RANGE_CLOEXEC) < 0) give_up(child, "close_range");
}

[[noreturn]] void run_child(Child* child) {
  default_signals();
  if (setsid() < 0) give_up(child, "setsid");
  if (child->cwd_fd >= 0 && fchdir(child->cwd_fd) < 0) give_up(child, "fchdir");
  if (child->cwd != nullptr && chdir(child->cwd) < 0) give_up(child, "chdir");
  arrange_fds(child);
  // Last, so that no signal runs one of Node's handlers in memory that it shares with us.
  const unsigned long none = 0;
  if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none) < 0) give_up(child, "rt_sigprocmask");
  if (child->executable_fd >= 0) {
    (void)syscall(SYS_execveat, child->executable_fd, "", child->argv, child->env, AT_EMPTY_PATH);
  } else {
    (void)execve(child->path, child->argv, child->env);
  }
  give_up(child, child->executable_fd >= 0 ? "execveat" : "execve");
}

// A function of its own, so that no local of the caller lives across vfork's two returns.
[[gnu::noinline]] pid_t vfork_child(Child* child) {
  const pid_t pid = vfork();
  if (pid == 0) run_child(child);
  return pid;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> all;
  all.reserve(strings.size() + 1);
  for (const std::string& text : strings) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

void reap(pid_t pid) {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<Spawned> spawn(const SpawnRequest& request) {
  if (request.fds.size() > spawn_fd_limit) return fail_with(E2BIG, "spawn", request.path, "at most 64 descriptors");
  if (request.argv.empty()) return fail_with(EINVAL, "spawn", request.path, "argv is empty");
  const std::vector<char*> argv = pointers(request.argv);
  const std::vector<char*> env = pointers(request.env);
  Child child{};
  child.path = request.path.c_str();
  child.executable_fd = request.executable_fd;
  child.argv = argv.data();
  child.env = env.data();
  child.cwd = request.cwd.empty() ? nullptr : request.cwd.c_str();
  child.cwd_fd = request.cwd_fd;
  child.fds = request.fds.data();
  child.fd_count = static_cast<int>(request.fds.size());

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = vfork_child(&child);
  const int vfork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);

  if (pid < 0) return fail_with(vfork_error, "vfork", request.path);
  if (child.error != 0) {
    reap(pid);
    const bool about_cwd = std::string_view(child.step) == "chdir";
    return fail_with(child.error, child.step, about_cwd ? request.cwd : request.path);
  }
  // The child cannot be reaped by anybody but us, so its pid still means it.
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    const int error = errno;
    kill(pid, SIGKILL);
    reap(pid);
    return fail_with(error, "pidfd_open", request.path);
  }
  return Spawned{pid, pidfd};
}

}  // namespace berth::addon
