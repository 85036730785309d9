#include "shim/process_end.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "shim/kernel.h"
#include "shim/shim.h"

namespace berth {
namespace {

// proc(5): the 52nd field of stat is the status as waitpid(2) gives it, and the name in brackets may hold anything. The
// kernel shows it to who may trace; else it is told as killed, which is what it looked like.
int status_of_dead(pid_t pid) {
  constexpr int kFieldsBehindName = 50;
  Text<32> path("/proc/");
  path.add_number(pid).add("/stat");
  char stat[1024];
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t size = file ? read(file.get(), stat, sizeof stat - 1) : -1;
  if (size <= 0) return SIGKILL;
  stat[size] = '\0';
  const char* at = strrchr(stat, ')');
  for (int i = 0; at != nullptr && i < kFieldsBehindName; i++) at = strchr(at + 1, ' ');
  return at == nullptr ? SIGKILL : atoi(at + 1);
}

void ended(Watch& watch, uint32_t) {
  auto& end = static_cast<ProcessEnd&>(watch);
  Shim& shim = *end.shim;
  const pid_t pid = end.pid;
  process_end_forget(end);
  int status = 0;
  const pid_t reaped = waitpid(pid, &status, WNOHANG | __WALL);
  if (reaped == 0) status = status_of_dead(pid);
  if (reaped >= 0) process_ended(shim, pid, status);
  shutdown_progress(shim);
}

}  // namespace

bool process_end_watch(Shim& shim, ProcessEnd& end, pid_t pid) {
  process_end_forget(end);
  end.shim = &shim;
  end.pid = pid;
  end.on_ready = ended;
  end.fd = kernel::pidfd(pid);
  if (!end.fd) return false;
  if (shim.loop.watch(end.fd.get(), end, EPOLLIN)) return true;
  const int error = errno;
  end.fd.reset();
  errno = error;
  return false;
}

void process_end_forget(ProcessEnd& end) {
  if (!end.fd) return;
  end.shim->loop.unwatch(end.fd.get());
  end.shim->loop.forget(end);
  end.fd.reset();
}

void process_ended(Shim& shim, pid_t pid, int wait_status) {
  if (pid == shim.pod.pause_pid || is_second(shim.pod.page, pid)) {
    pause_exited(shim, pid);
  } else if (pid == shim.pump.pid) {
    pump_exited(shim);
  } else if (!container_exited(shim, pid, wait_status)) {
    exec_exited(shim, pid, wait_status);  // else an orphan that has become ours
  }
}

}  // namespace berth
