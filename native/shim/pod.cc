#include "shim/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "shim/cgroup.h"
#include "shim/features.h"
#include "shim/kernel.h"
#include "shim/null_device.h"
#include "shim/pause.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr int64_t kSetupMs = 10'000;
constexpr size_t kMaxSysctls = 256;

// The kernel lets a pod mount /proc and /sys only for namespaces that are its own.
bool check_users(const berth_shim_StartPod& plan, Fault& fault) {
  if (plan.user == berth_shim_NsMode_NS_HOST) return true;
  IdRange ignored;
  if (plan.user != berth_shim_NsMode_NS_POD || !id_range_of(plan.uid_maps, plan.uid_maps_count, ignored) ||
      !id_range_of(plan.gid_maps, plan.gid_maps_count, ignored)) {
    return fault.refuse(FaultKind::kBadMessage, "user", plan.pod_id, "not one range of ids that begins with root");
  }
  if (plan.net != berth_shim_NsMode_NS_NEW || plan.ipc != berth_shim_NsMode_NS_POD ||
      plan.uts != berth_shim_NsMode_NS_POD || plan.pid == berth_shim_NsMode_NS_HOST) {
    return fault.refuse(FaultKind::kBadMessage, "user", plan.pod_id, "a user namespace needs all others to be new");
  }
  return true;
}

bool check_request(const Shim& shim, const berth_shim_StartPod& plan, Fault& fault) {
  if (!known_features(plan.required, plan.requires_count, fault)) return false;
  if (shim.pod.phase != PodPhase::kNone) {
    return fault.refuse(FaultKind::kState, "start", plan.pod_id, "the pod has been started");
  }
  if (!check_users(plan, fault)) return false;
  if (plan.net == berth_shim_NsMode_NS_POD && !shim.net_namespace) {
    return fault.refuse(FaultKind::kBadMessage, "net", plan.pod_id, "no network namespace was handed over");
  }
  const bool known_modes = plan.net <= berth_shim_NsMode_NS_NEW && plan.ipc <= berth_shim_NsMode_NS_POD &&
                           plan.pid <= berth_shim_NsMode_NS_NEW && plan.uts <= berth_shim_NsMode_NS_POD;
  if (!known_modes) return fault.refuse(FaultKind::kBadMessage, "start", plan.pod_id, "unknown namespace mode");
  if (plan.sysctls_count > kMaxSysctls ||
      plan.shim_cgroup_dirs_count > sizeof Pod::cgroup_dirs / sizeof Pod::cgroup_dirs[0]) {
    return fault.refuse(FaultKind::kBadMessage, "start", plan.pod_id, "too many sysctls or cgroup directories");
  }
  return true;
}

// Outside every pod's cgroup, so that ending the pod does not end who has to tell of it. Everything forked later that
// does not go elsewhere (pause, the log pump) is born here.
bool enter_cgroups(Pod& pod, const berth_shim_StartPod& plan, Fault& fault) {
  pod.cgroup_dir_count = 0;  // of a start that failed
  for (pb_size_t i = 0; i < plan.shim_cgroup_dirs_count; i++) {
    const char* dir = plan.shim_cgroup_dirs[i];
    if (mkdir(dir, 0755) != 0 && errno != EEXIST) return fault.kernel("cgroup", dir, errno);
    if (!pod.cgroup_dirs[pod.cgroup_dir_count].set(dir)) return fault.kernel("cgroup", dir, ENOMEM);
    pod.cgroup_dir_count++;
    if (!cgroup_enter(view_of(dir))) return fault.kernel("cgroup", dir, errno);
  }
  return true;
}

// Best effort: without CAP_SYS_RESOURCE it cannot be lowered.
void set_oom_score(Pod& pod, int score) {
  if (score == 0) return;
  Text<16> text;
  text.add_number(score);
  const Fd file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  pod.oom_score_set = file && write(file.get(), text.c_str(), text.size()) > 0;
}

uint64_t namespaces_of(const berth_shim_StartPod& plan) {
  uint64_t flags = CLONE_NEWNS;
  // Without a pid namespace of its own a pause with other users could not mount the /proc that its containers need.
  if (plan.user == berth_shim_NsMode_NS_POD) flags |= CLONE_NEWPID;
  if (plan.ipc == berth_shim_NsMode_NS_POD) flags |= CLONE_NEWIPC;
  if (plan.uts == berth_shim_NsMode_NS_POD) flags |= CLONE_NEWUTS;
  if (plan.pid == berth_shim_NsMode_NS_POD) flags |= CLONE_NEWPID;
  if (plan.net == berth_shim_NsMode_NS_NEW) flags |= CLONE_NEWNET;
  return flags;
}

bool clone_pause(Shim& shim, const berth_shim_StartPod& plan, Fault& fault) {
  Pod& pod = shim.pod;
  Fd theirs;
  if (!pod.page.make()) return fault.kernel("mmap", "pause", errno);
  if (!make_sync(pod.sync_fd, theirs)) return fault.kernel("socketpair", "pause", errno);
  const int net = plan.net == berth_shim_NsMode_NS_POD ? shim.net_namespace.get() : -1;
  const PauseLaunch launch = {.plan = &plan, .page = pod.page, .sync = theirs.get(), .net_namespace = net};
  const pid_t pid = clone_child(pod.own_users ? CLONE_NEWUSER : namespaces_of(plan));
  if (pid == 0) pod.own_users ? run_first_pause(launch, namespaces_of(plan)) : run_pause(launch);
  if (pid < 0) return fault.kernel("clone", "pause", errno);
  pod.pause_pid = pid;
  if (pod.own_users) {
    if (!write_id_maps(pid, pod.uids, pod.gids)) return fault.kernel("uid_map", "pause", errno);
    send(pod.sync_fd.get(), &kSaysGo, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  pod.pause = kernel::pidfd(pid);
  return pod.pause ? true : fault.kernel("pidfd_open", "pause", errno);
}

// From the first child, which entered the user namespace, to the one it has made there.
void take_second(Pod& pod) {
  const pid_t second = second_of(pod.page);
  if (second == 0) return;
  pod.pause_pid = second;
  pod.pause = kernel::pidfd(second);
}

bool open_null(Pod& pod, Fault& fault) {
  Text<64> path("/proc/");
  path.add_number(pod.pause_pid).add("/root").add(kPodNull);
  pod.null = Fd(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (pod.null && is_null_device(pod.null.get())) return true;
  return fault.kernel("pause", path.view(), pod.null ? ENODEV : errno);
}

void setup_over(Shim& shim) {
  Pod& pod = shim.pod;
  shim.loop.cancel(pod.timer);
  if (pod.sync_fd) shim.loop.unwatch(pod.sync_fd.get());
  shim.loop.forget(pod.sync);
  pod.sync_fd.reset();
  pod.page.reset();
}

// Leaves the shim as it was before, so that StartPod can be said again (or Shutdown).
void start_failed(Shim& shim, const Fault& fault) {
  Pod& pod = shim.pod;
  const Fault said = fault;  // it may lie in the page
  take_second(pod);
  setup_over(shim);
  if (pod.pause_pid > 0) kill(pod.pause_pid, SIGKILL);
  pod.pause.reset();
  pod.table.reset();
  pump_end(shim);
  pod.phase = PodPhase::kNone;
  reply_fault(shim, pod.start_call, said);
}

void pause_spoke(Watch& watch, uint32_t) {
  Shim& shim = *static_cast<Pod::Sync&>(watch).shim;
  Pod& pod = shim.pod;
  Fd passed;
  const int word = receive_word(pod.sync_fd.get(), passed);
  if (word < 0) return;
  if (word == kSaysTable) {
    pod.table = std::move(passed);
    return;
  }
  if (word == kSaysReady) {
    take_second(pod);
    setup_over(shim);
    Fault fault;
    if (!open_null(pod, fault)) return start_failed(shim, fault);
    shim.net_namespace.reset();  // lives by pause now
    pod.phase = PodPhase::kRunning;
    berth_shim_PodStarted started = {};
    started.pause_pid = static_cast<uint32_t>(pod.pause_pid);
    started.started_at_ns = realtime_ns();
    return reply(shim, pod.start_call, berth_shim_Response_pod_started_tag, berth_shim_PodStarted_fields, &started);
  }
  if (word == 0) pod.page->fault.kernel("pause", pod.page->touching, EPIPE);
  start_failed(shim, pod.page->fault);
}

void pause_late(Deadline& deadline) {
  Shim& shim = *static_cast<Pod::Timer&>(deadline).shim;
  Fault fault;
  fault.refuse(FaultKind::kUnresponsive, "pause", "", "setup did not finish in time");
  start_failed(shim, fault);
}

}  // namespace

void start_pod(Shim& shim, CallRef call, std::string_view body) {
  Pod& pod = shim.pod;
  Fault fault;
  Decoded<berth_shim_StartPod> plan(berth_shim_StartPod_fields);
  if (!plan.from(body, fault, "start", "StartPod")) return reply_fault(shim, call, fault);
  if (!check_request(shim, *plan, fault)) return reply_fault(shim, call, fault);
  pod.phase = PodPhase::kStarting;
  pod.start_call = call;
  pod.modes = {plan->net, plan->ipc, plan->pid, plan->uts};
  pod.own_users = plan->user == berth_shim_NsMode_NS_POD;
  if (pod.own_users) {
    id_range_of(plan->uid_maps, plan->uid_maps_count, pod.uids);
    id_range_of(plan->gid_maps, plan->gid_maps_count, pod.gids);
  }
  pod.sync.shim = pod.timer.shim = &shim;
  pod.sync.on_ready = pause_spoke;
  pod.timer.on_expired = pause_late;
  set_oom_score(pod, plan->shim_oom_score_adj);
  if (!enter_cgroups(pod, *plan, fault) || !clone_pause(shim, *plan, fault) || !pump_start(shim, fault)) {
    return start_failed(shim, fault);
  }
  if (!shim.loop.watch(pod.sync_fd.get(), pod.sync, EPOLLIN)) {
    fault.kernel("epoll", "pause", errno);
    return start_failed(shim, fault);
  }
  shim.loop.arm(pod.timer, kSetupMs);
}

void pause_exited(Shim& shim, pid_t pid) {
  Pod& pod = shim.pod;
  const bool first = pid == pod.pause_pid;
  pod.pause_pid = 0;
  pod.pause.reset();
  if (first) take_second(pod);
  if (pod.pause_pid > 0) return;  // the first of two has done its part
  second_of(pod.page);            // the second has died, and is nobody's number any more
  if (pod.phase == PodPhase::kStarting && pod.sync_fd) return pause_spoke(pod.sync, EPOLLIN);
  if (pod.phase != PodPhase::kRunning) return;
  log_line("pause has died");
  const berth_shim_PauseEnded ended = {};
  broadcast_event(shim, berth_shim_Event_pause_ended_tag, berth_shim_PauseEnded_fields, &ended);
}

void get_state(Shim& shim, CallRef call) {
  berth_shim_PodState state = {};
  OwnedArray<berth_shim_ContainerEntry> entries;
  if (!entries.make(static_cast<size_t>(shim.containers.size()))) {
    Fault fault;
    fault.kernel("state", "", ENOMEM);
    return reply_fault(shim, call, fault);
  }
  copy_text(state.pod_id, sizeof state.pod_id, shim.pod_id);
  state.pause_pid = static_cast<uint32_t>(shim.pod.phase == PodPhase::kRunning ? shim.pod.pause_pid : 0);
  state.log_bytes_dropped = shim.pump.dropped + shim.pump.dropped_latest;
  state.containers = entries.data();
  for (const Container* at = shim.containers.first(); at != nullptr; at = at->next) {
    // One that is still being set up is its caller's: it will be answered, or undone.
    if (at->phase == Phase::kSettingUp || at->phase == Phase::kDiscarded) continue;
    berth_shim_ContainerEntry& entry = entries[state.containers_count++];
    entry = {};
    copy_text(entry.id, sizeof entry.id, at->id.view());
    entry.pid = static_cast<uint32_t>(at->reaped ? 0 : at->pid);
    entry.started_at_ns = at->started_at_ns;
    entry.state = at->phase == Phase::kExited    ? berth_shim_ContainerState_EXITED
                  : at->phase == Phase::kRunning ? berth_shim_ContainerState_RUNNING
                                                 : berth_shim_ContainerState_CREATED;
    entry.has_exit = at->phase == Phase::kExited;
    entry.exit = at->exit;
    entry.log_bytes_dropped = at->log.dropped;
  }
  reply(shim, call, berth_shim_Response_state_tag, berth_shim_PodState_fields, &state);
}

}  // namespace berth
