// The end of a pod: containers, then log pump and pause, then our own cgroups, then us.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "shim/cgroup.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr int64_t kShutdownMs = 10'000;
constexpr int kFlushMs = 1'000;

// A cgroup that we are in cannot be removed: go up first, to the nearest directory that takes processes.
bool leave_upwards(const char* dir) {
  Path path{std::string_view(dir)};
  for (size_t size = path.size(); size > 1;) {
    while (size > 1 && path.c_str()[size - 1] != '/') size--;
    const Path parent(slice(path.view(), 0, size - 1));
    if (cgroup_enter(parent.view())) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;  // above the mount
    size--;
  }
  return false;
}

// The last members may still be on their way out. Nobody is served any more: here the shim may wait.
bool remove_when_empty(const char* dir) {
  constexpr timespec kPause = {0, 5'000'000};
  for (int i = 0; i < 100; i++) {
    if (rmdir(dir) == 0 || errno == ENOENT) return true;
    if (errno != EBUSY) return false;
    nanosleep(&kPause, nullptr);
  }
  return false;
}

void remove_cgroups(Pod& pod) {
  for (int i = 0; i < pod.cgroup_dir_count; i++) {
    const char* const dir = pod.cgroup_dirs[i].c_str();
    if (!leave_upwards(dir) || !remove_when_empty(dir)) log_line(dir, errno);
  }
}

[[noreturn]] void finish(Shim& shim) {
  shim.pod.phase = PodPhase::kEnded;
  kill_trees_abandon(shim);
  remove_cgroups(shim.pod);
  reply_done(shim, shim.pod.shutdown_call);
  flush_connections(shim, kFlushMs);
  _exit(0);
}

void too_late(Deadline& deadline) {
  Shim& shim = *static_cast<Pod::Timer&>(deadline).shim;
  // Somebody is in D state. berthd finds what is left by its cgroup.
  log_line("something of the pod does not end after SIGKILL");
  if (shim.pump.pid > 0) kill(shim.pump.pid, SIGKILL);
  if (shim.pod.pause_pid > 0) kill(shim.pod.pause_pid, SIGKILL);
  finish(shim);
}

}  // namespace

void shutdown_pod(Shim& shim, CallRef call) {
  Pod& pod = shim.pod;
  if (pod.phase == PodPhase::kStarting || pod.phase == PodPhase::kEnding) {
    Fault fault;
    fault.refuse(FaultKind::kState, "shutdown", shim.pod_id, "the pod is being started or ended");
    return reply_fault(shim, call, fault);
  }
  pod.phase = PodPhase::kEnding;
  pod.shutdown_call = call;
  pod.timer.shim = &shim;
  pod.timer.on_expired = too_late;
  shim.loop.arm(pod.timer, kShutdownMs);
  containers_kill(shim);  // with their execs, whose groups lie below
  execs_kill(shim);
  shutdown_progress(shim);
}

void shutdown_progress(Shim& shim) {
  Pod& pod = shim.pod;
  if (pod.phase != PodPhase::kEnding) return;
  // Logs are drained before the pump goes; pause goes last, since it holds the namespaces of all the others.
  if (containers_alive(shim) > 0 || execs_alive(shim) > 0 || kill_trees_pending(shim)) return;
  pump_end(shim);
  if (shim.pump.pid > 0) return;
  if (pod.pause_pid > 0) {
    kill(pod.pause_pid, SIGKILL);
    return;
  }
  finish(shim);
}

}  // namespace berth
