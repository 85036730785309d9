#include "shim/container.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shim/attach.h"
#include "shim/cgroup.h"
#include "shim/container_child.h"
#include "shim/exits.h"
#include "shim/features.h"
#include "shim/kernel.h"
#include "shim/limits.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr uint32_t kDefaultSetupMs = 30'000;
constexpr uint32_t kMaxSetupMs = 600'000;
constexpr int64_t kDieMs = 200;

// An id is a file name below exits/.
bool plain_id(std::string_view id) {
  if (id.empty() || id.size() > 127 || id[0] == '.') return false;
  for (const char c : id) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!plain) return false;
  }
  return true;
}

bool check_request(Shim& shim, const berth_shim_CreateContainer& request, Fault& fault) {
  if (!known_features(request.required, request.requires_count, fault)) return false;
  if (!plain_id(request.id)) {
    return fault.refuse(FaultKind::kBadMessage, "create", request.id, "the id is not a plain name");
  }
  if (shim.pod.phase != PodPhase::kRunning || shim.pod.pause_pid == 0) {
    return fault.refuse(FaultKind::kState, "create", request.id, "the pod is not running");
  }
  for (const Container* at = shim.containers.first(); at != nullptr; at = at->next) {
    if (at->id.view() == request.id && at->phase != Phase::kDiscarded) {
      return fault.refuse(FaultKind::kState, "create", request.id, "the id is in use");
    }
  }
  if (shim.containers.size() >= kMaxContainers) {
    return fault.limit("create", request.id, kMaxContainers, "containers in a pod");
  }
  if (view_of(request.log_path).size() >= kMaxLogPath) {
    return fault.refuse(FaultKind::kBadMessage, "log", request.id, "the log path is too long");
  }
  return true;
}

// Whose pid namespace the container joins. Also what is remembered of it for those who join this one.
bool choose_pids(Shim& shim, Container& container, const berth_shim_CreateContainer& request, Pids& pids, Fd& member) {
  Fault& fault = *container.fault;
  const auto refuse = [&](FaultKind kind, const char* about, const char* why) {
    return fault.refuse(kind, "pid", about, why);
  };
  pids = Pids::kOthers;
  switch (request.pid) {
    case berth_shim_NsMode_NS_NEW:
      pids = Pids::kNew;
      return true;
    case berth_shim_NsMode_NS_HOST:
      if (shim.pod.own_users) {
        return refuse(FaultKind::kBadMessage, request.id, "the node's pid namespace with other users");
      }
      container.nodes_pids = true;
      pids = Pids::kNodes;
      return true;
    case berth_shim_NsMode_NS_POD:
      if (shim.pod.modes.pid != berth_shim_NsMode_NS_POD) {
        return refuse(FaultKind::kBadMessage, request.id, "the pod has no pid namespace to share");
      }
      if (shim.pod.table) container.table = Fd(fcntl(shim.pod.table.get(), F_DUPFD_CLOEXEC, 0));
      member = Fd(fcntl(shim.pod.pause.get(), F_DUPFD_CLOEXEC, 0));
      return member ? true : fault.kernel("dup", "pause", errno);
    case berth_shim_NsMode_NS_CONTAINER: {
      const Container* other = find_container(shim, request.pid_target_id);
      if (other == nullptr) return refuse(FaultKind::kNotFound, request.pid_target_id, "no such target container");
      if (other->phase != Phase::kRunning) {
        return refuse(FaultKind::kState, request.pid_target_id, "the target container is not running");
      }
      container.nodes_pids = other->nodes_pids;
      if (other->nodes_pids) pids = Pids::kNodes;
      if (other->table) container.table = Fd(fcntl(other->table.get(), F_DUPFD_CLOEXEC, 0));
      member = kernel::pidfd(other->pid);
      return member ? true : fault.kernel("pidfd_open", request.pid_target_id, errno);
    }
    default:
      return refuse(FaultKind::kBadMessage, request.id, "unknown pid namespace mode");
  }
}

struct Streams {
  Fd child[3];  // what becomes 0, 1 and 2; empty: /dev/null
};

// Output is read also without a log: it is for whoever is attached.
bool make_streams(Container& container, Streams& streams) {
  if (container.tty) return true;  // its terminal is made inside, in its own devpts
  if (container.has_stdin && !make_pipe(streams.child[0], container.stdin_pipe)) {
    return container.fault->kernel("pipe", "stdin", errno);
  }
  container.log.stream_count = 2;
  for (int i = 0; i < 2; i++) {
    if (!make_pipe(container.log.streams[i], streams.child[i + 1])) return container.fault->kernel("pipe", "", errno);
  }
  return true;
}

void setup_timeout(Deadline& deadline);

// What the child and, of two, the second say.
bool make_words(Container& container, Fd& sync, Fd& result, Fd& go) {
  if (!container.page.make()) return container.fault->kernel("mmap", "", errno);
  if (!make_sync(container.sync_fd, sync)) return container.fault->kernel("socketpair", "", errno);
  if (!container.of_two) return true;
  return make_pipe(container.result, result) && make_pipe(go, container.go) &&
                 fcntl(container.result.get(), F_SETFL, O_NONBLOCK) == 0
             ? true
             : container.fault->kernel("pipe", "", errno);
}

bool launch(Shim& shim, Container& container, const berth_shim_CreateContainer& request, std::string_view plan) {
  Pids pids;
  Fd member, sync, result, go;
  Streams streams;
  const bool own_users = shim.pod.own_users;
  if (!choose_pids(shim, container, request, pids, member) || !make_streams(container, streams)) return false;
  if (!exit_reserve(shim, container.id.view())) return container.fault->kernel("exit record", "", errno);
  container.of_two = pids == Pids::kOthers;
  if (!make_words(container, sync, result, go)) return false;
  container.oom_kills_before = cgroup_oom_kills(container.oom_file.c_str());
  // A pid namespace that belongs to the pod's users is made from among them, by a second child.
  const pid_t pid = clone_child(pids == Pids::kNew && !own_users ? CLONE_NEWPID : 0);
  if (pid == 0) {
    run_container_child({.fds = {.stdio = {streams.child[0].get(), streams.child[1].get(), streams.child[2].get()},
                                 .sync = sync.get(),
                                 .extra = shim.pod.pause.get(),
                                 .null = shim.pod.null.get(),
                                 .result = result.get(),
                                 .go = go.get(),
                                 .pids = member.get(),
                                 .table = container.table.get()},
                         .page = container.page.get(),
                         .plan = plan,
                         .tty = container.tty,
                         .reset_oom_score = shim.pod.oom_score_set,
                         .pids = pids,
                         .own_users = own_users,
                         .pause_pid = shim.pod.pause_pid,
                         .uids = shim.pod.uids,
                         .gids = shim.pod.gids});
  }
  if (pid < 0) return container.fault->kernel("clone", container.id.view(), errno);
  container.pid = pid;
  return process_end_watch(shim, container.end, pid) ? true : container.fault->kernel("pidfd_open", "", errno);
}

void child_spoke(Watch& watch, uint32_t) {
  container_hear(static_cast<Container&>(watch));
}

Container* container_make(Shim& shim, const berth_shim_CreateContainer& request) {
  Owned<Container> made = Owned<Container>::make();
  if (!made || !(made->fault = Owned<Fault>::make()) || !made->kill_dir.set(view_of(request.kill_dir)) ||
      !made->oom_file.set(view_of(request.oom_file)) || !made->log.path.set(view_of(request.log_path))) {
    return nullptr;
  }
  Container& container = shim.containers.push_back(std::move(made));
  container.shim = &shim;
  container.on_ready = child_spoke;
  container.timer.container = &container;
  container.id.add(request.id);
  container.tty = request.tty;
  container.has_stdin = request.stdin;
  container.stdin_once = request.stdin_once;
  container.shares_pids = request.pid != berth_shim_NsMode_NS_NEW;
  container.kill_dir_v2 = request.kill_dir_v2;
  container.log.slot = shim.pump.next_slot++;
  return &container;
}

}  // namespace

void container_free(Container& container) {
  Shim& shim = *container.shim;
  const Owned<Container> freed = shim.containers.take(container);
  if (container.sync_fd) shim.loop.unwatch(container.sync_fd.get());
  shim.loop.forget(container);
  process_end_forget(container.end);
  shim.loop.cancel(container.timer);
  attaches_end(container, true);
  container_log_close(container);
  exit_release(shim, container.id.view());
}

Container* find_container(Shim& shim, std::string_view id) {
  for (Container* at = shim.containers.first(); at != nullptr; at = at->next) {
    if (at->id.view() == id && at->phase != Phase::kDiscarded) return at;
  }
  return nullptr;
}

void create_container(Shim& shim, CallRef call, std::string_view body) {
  Fault fault;
  std::string_view plan;
  Decoded<berth_shim_CreateContainer> request(berth_shim_CreateContainer_fields);
  request->plan = remember_bytes(&plan);
  if (!request.from(body, fault, "create", "CreateContainer")) return reply_fault(shim, call, fault);
  if (!check_request(shim, *request, fault)) return reply_fault(shim, call, fault);
  Container* container = container_make(shim, *request);
  if (container == nullptr) {
    fault.kernel("create", request->id, ENOMEM);
    return reply_fault(shim, call, fault);
  }
  container->create_call = call;
  if (!copy_cgroup_dirs(plan, container->cgroup_dirs, *container->fault) || !launch(shim, *container, *request, plan)) {
    return container_setup_failed(*container);
  }
  const uint32_t asked = request->setup_timeout_ms;
  container->timer.on_expired = setup_timeout;
  shim.loop.arm(container->timer, asked == 0 ? kDefaultSetupMs : asked > kMaxSetupMs ? kMaxSetupMs : asked);
  if (!shim.loop.watch(container->sync_fd.get(), *container, EPOLLIN)) {
    container->fault->kernel("epoll", request->id, errno);
    return container_setup_failed(*container);
  }
  if (!container->tty) container_log_add(*container);
}

// Answers Create when both the child and the log are ready.
void container_created_if_ready(Container& container) {
  if (container.phase != Phase::kSettingUp || !container.child_ready) return;
  if (container.log.phase == LogPhase::kAdding) return;
  container.phase = Phase::kCreated;
  container.shim->loop.cancel(container.timer);
  char* warnings[8];
  berth_shim_ContainerCreated created = {};
  created.pid = static_cast<uint32_t>(container.pid);
  for (uint32_t i = 0; i < container.page->warnings && i < 8; i++) warnings[i] = container.page->warning[i];
  created.warnings = warnings;
  created.warnings_count = static_cast<pb_size_t>(container.page->warnings < 8 ? container.page->warnings : 8);
  reply(*container.shim, container.create_call, berth_shim_Response_container_created_tag,
        berth_shim_ContainerCreated_fields, &created);
  container.fault.reset();
}

namespace {

// The child was killed and is either gone or (D state) cannot go: the answer does not wait for it.
void abandon(Deadline& deadline) {
  Container& container = *static_cast<ContainerTimer&>(deadline).container;
  log_line(container.fault->path);
  log_line("a container's setup process does not die: abandoned");
  reply_fault(*container.shim, container.create_call, *container.fault);
  container.create_call = {};
}

void setup_timeout(Deadline& deadline) {
  Container& container = *static_cast<ContainerTimer&>(deadline).container;
  const bool log_is_late = container.child_ready;
  const auto stage = static_cast<Stage>(container.page->stage.load(std::memory_order_acquire));
  char path[sizeof container.page->touching];
  memcpy(path, container.page->touching, sizeof path);  // the child may still be writing it
  path[sizeof path - 1] = '\0';
  container.fault->refuse(FaultKind::kUnresponsive, log_is_late ? "log" : stage_name(stage),
                          log_is_late ? container.log.path.c_str() : path, "setup did not finish in time");
  container_setup_failed(container);
}

}  // namespace

// From the first child to the one it has made in its place.
bool container_take_second(Container& container) {
  const pid_t second = second_of(container.page);
  if (second == 0) return false;
  container.pid = second;
  if (!process_end_watch(*container.shim, container.end, second) && errno != ESRCH)
    log_line("a container's pidfd", errno);
  return true;
}

void container_send_go(Container& container) {
  if (!container.launched) {
    send(container.sync_fd.get(), &kSaysGo, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  (void)!write(container.go.get(), &kSaysGo, 1);
  container.go.reset();
}

// Ends a setup: the fault is in the container. Answers at once when the child is gone, else when it has died.
void container_setup_failed(Container& container) {
  container_take_second(container);
  container.phase = Phase::kDiscarded;
  container_log_close(container);
  Shim& shim = *container.shim;
  shim.loop.cancel(container.timer);
  if (container.sync_fd) {
    shim.loop.unwatch(container.sync_fd.get());
    shim.loop.forget(container);
    container.sync_fd.reset();
  }
  if (container.pid == 0 || container.reaped) {
    reply_fault(shim, container.create_call, *container.fault);
    return container_free(container);
  }
  kill(container.pid, SIGKILL);
  container.timer.on_expired = abandon;
  shim.loop.arm(container.timer, kDieMs);
}

void start_container(Shim& shim, CallRef call, std::string_view body) {
  Fault fault;
  Decoded<berth_shim_StartContainer> request(berth_shim_StartContainer_fields);
  if (!request.from(body, fault, "start", "StartContainer")) return reply_fault(shim, call, fault);
  Container* container = find_container(shim, request->id);
  if (container == nullptr) {
    fault.refuse(FaultKind::kNotFound, "start", request->id, "no such container");
    return reply_fault(shim, call, fault);
  }
  if (container->phase != Phase::kCreated || container->delete_call.connection != 0) {
    fault.refuse(FaultKind::kState, "start", request->id, "the container is not in the created state");
    return reply_fault(shim, call, fault);
  }
  container->phase = Phase::kStarting;
  container->start_call = call;
  // Nothing is left to fail here: a child that has died is told by its end of file and its exit.
  container_send_go(*container);
}

}  // namespace berth
