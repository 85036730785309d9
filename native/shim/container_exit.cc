// A container's child speaks, ends, is killed and is forgotten.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "shim/attach.h"
#include "shim/cgroup.h"
#include "shim/exec_failure.h"
#include "shim/exits.h"
#include "shim/launch_pad.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr int64_t kDrainMs = 500;
constexpr int64_t kNamespaceEndsMs = 2'000;

void stop_listening(Container& container) {
  container.shim->loop.unwatch(container.sync_fd.get());
  container.shim->loop.forget(container);
  container.sync_fd.reset();
}

// The reason is in the page where the child has found one.
void setup_ended(Container& container) {
  if (container.page->failed.load(std::memory_order_acquire)) {
    *container.fault = container.page->fault;
  } else {
    const auto stage = static_cast<Stage>(container.page->stage.load(std::memory_order_acquire));
    container.fault->refuse(FaultKind::kKernel, stage_name(stage), container.id.view(), "the setup process was killed");
    container.fault->error = EPIPE;
  }
  container_setup_failed(container);
}

void hear_setup(Container& container, int word, Fd passed);

// The first of two is over, the second is there and waits.
void second_waits(Container& container) {
  Shim& shim = *container.shim;
  if (container.sync_fd) {
    Fd master;  // said, and not heard yet
    if (receive_word(container.sync_fd.get(), master) == kSaysTerminal) {
      hear_setup(container, kSaysTerminal, std::move(master));
    }
    if (container.phase != Phase::kSettingUp) return;
    stop_listening(container);
  }
  container.launched = true;
  container.sync_fd = std::move(container.result);
  if (!shim.loop.watch(container.sync_fd.get(), container, EPOLLIN)) {
    container.fault->kernel("epoll", container.id.view(), errno);
    return container_setup_failed(container);
  }
  container.child_ready = true;
  container_created_if_ready(container);
}

void hear_setup(Container& container, int word, Fd passed) {
  if (!container.of_two) container_take_second(container);
  if (word == kSaysReady) {
    container.child_ready = true;
    return container_created_if_ready(container);
  }
  if (word == kSaysTerminal && passed) {
    container.log.streams[0] = std::move(passed);
    container.log.stream_count = 1;
    return container_log_add(container);
  }
  if (word == kSaysTable && passed) {
    container.table = std::move(passed);
    return;
  }
  // The first of two has nothing to say any more; its end tells how it went.
  if (word == 0 && container.of_two && !container.launched) return stop_listening(container);
  setup_ended(container);
}

void hear_start(Container& container, int word) {
  Shim& shim = *container.shim;
  if (word == kSaysFailed) {
    // Its exit is next; the caller hears of both at once, so that a removal right after the answer finds it ended.
    container.start_failed = true;
    // What somebody in its pid namespace has said in its name may not be so.
    if (container.of_two) kill(container.pid, SIGKILL);
    return stop_listening(container);
  }
  container.phase = Phase::kRunning;
  container.started_at_ns = realtime_ns();
  berth_shim_ContainerStarted started = {};
  started.started_at_ns = container.started_at_ns;
  reply(shim, container.start_call, berth_shim_Response_container_started_tag, berth_shim_ContainerStarted_fields,
        &started);
  container.start_call = {};
  stop_listening(container);
  container.page.reset();
}

// With init goes its pid namespace: the kernel kills all of it, and nobody can be born there any more. Only what that
// does not end (init is in D state) is left for us.
int64_t patience_of(const Container& container) {
  return container.shares_pids || container.reaped ? 0 : kNamespaceEndsMs;
}

void drain_late(Deadline& deadline) {
  container_tell_exit(*static_cast<ContainerTimer&>(deadline).container);
}

bool is_dead(const Container& container) {
  siginfo_t about = {};
  return waitid(P_PID, static_cast<id_t>(container.pid), &about, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         about.si_pid == container.pid;
}

// From now on its end is ours, unless memory runs out once more. What ran out before was an exec or a child, which it
// has outlived.
void is_to_stop(Container& container, int signal) {
  if (container.reaped || container.pid <= 0 || is_dead(container)) return;
  if (!container.told_to_stop) container.oom_kills_before = cgroup_oom_kills(container.oom_file.c_str());
  container.told_to_stop = true;
  if (signal == SIGKILL) container.killed = true;
}

// The kernel counts OOM kills by cgroup, whoever it was. That it was the end of init is seen by how init died, or by
// the code a shell passes on, and by nobody else's having asked for it.
bool ran_out_of_memory(const Container& container) {
  return container.exit.exit_code == 128 + SIGKILL && !container.killed &&
         cgroup_oom_kills(container.oom_file.c_str()) > container.oom_kills_before;
}

void fill_exit(Container& container, int wait_status) {
  berth_shim_ExitRecord& exit = container.exit;
  copy_text(exit.container_id, sizeof exit.container_id, container.id.view());
  exit.exit_code = exit_code_of(wait_status);
  exit.signal = exit_signal_of(wait_status);
  if (container.start_failed && container.of_two) {  // whose end we may have hastened
    exit.exit_code = static_cast<uint32_t>(code_for_failed_execve(container.page->fault.error));
    exit.signal = 0;
  }
  exit.oom_killed = ran_out_of_memory(container);
  exit.finished_at_ns = realtime_ns();
  exit.started_at_ns = container.started_at_ns;
}

void forget_container(Container& container) {
  exit_forget(*container.shim, container.id.view());
  execs_remove_leaves(*container.shim);
  container_free(container);
}

void init_ended(Container& container, int wait_status) {
  Shim& shim = *container.shim;
  // A start that was under way is answered before its exit is told.
  if (container.phase == Phase::kStarting && container.sync_fd) container_hear(container);
  if (container.sync_fd) stop_listening(container);
  container.go.reset();
  const bool unanswered = container.phase == Phase::kStarting && !container.start_failed;
  container.phase = Phase::kExited;
  container.table.reset();  // it would keep the pid namespace
  fill_exit(container, wait_status);
  exit_write(shim, container.exit);  // disk first: whoever is told can rely on it
  execs_container_ended(shim, container);
  if (unanswered) container.page->fault.kernel("start", container.id.view(), EPIPE);
  if (container.start_failed || unanswered) reply_fault(shim, container.start_call, container.page->fault);
  container.page.reset();
  if (container.shares_pids) kill_tree(shim, container.kill_dir.c_str());
  // Who gets output stays until it is drained, which only the pump can tell.
  const bool drains = container.log.phase == LogPhase::kOpen && pump_say_drain(shim, container.log.slot);
  attaches_end(container, !drains);
  if (drains) {
    container.log.phase = LogPhase::kDraining;
    container.timer.on_expired = drain_late;
    shim.loop.arm(container.timer, kDrainMs);
  } else {
    container_tell_exit(container);
  }
}

}  // namespace

void container_hear(Container& container) {
  Fd passed;
  int word = -1;
  if (container.launched) {
    const Launched said = hear_launch(container.sync_fd.get(), *container.page);
    word = said == Launched::kNothing ? -1 : said == Launched::kRuns ? 0 : kSaysFailed;
  } else {
    word = receive_word(container.sync_fd.get(), passed);
  }
  if (word < 0) return;
  switch (container.phase) {
    case Phase::kSettingUp:
      return hear_setup(container, word, std::move(passed));
    case Phase::kStarting:
      return hear_start(container, word);
    default:
      // Created and ended without being asked: SIGCHLD tells the rest. One that only says so is not waited for.
      if (container.launched) kill(container.pid, SIGKILL);
      return stop_listening(container);
  }
}

bool container_exited(Shim& shim, pid_t pid, int wait_status) {
  for (Container* at = shim.containers.first(); at != nullptr; at = at->next) {
    if (is_second(at->page, pid)) container_take_second(*at);
    if (at->pid != pid || at->reaped) continue;
    if (container_take_second(*at)) {
      // The first of two children. One that was to die with a setup that failed has left its second behind.
      if (at->phase == Phase::kDiscarded) kill(at->pid, SIGKILL);
      if (at->phase == Phase::kSettingUp && at->of_two) second_waits(*at);
      return true;
    }
    at->reaped = true;
    process_end_forget(at->end);
    if (at->phase == Phase::kSettingUp) {
      setup_ended(*at);
    } else if (at->phase == Phase::kDiscarded) {
      reply_fault(shim, at->create_call, *at->fault);
      container_free(*at);
    } else {
      init_ended(*at, wait_status);
    }
    return true;
  }
  return false;
}

bool container_has_ended(const Container& container, std::string_view step, Fault& fault) {
  const berth_shim_ExitRecord& exit = container.exit;
  Text<sizeof Fault::message> why("the container has ended with exit code ");
  why.add_number(exit.exit_code);
  if (exit.oom_killed) why.add(" (OOMKilled)");
  return fault.refuse(FaultKind::kState, step, container.id.view(), why.view());
}

// Tells everybody that a container has ended, once: when its log is drained, or when that takes too long.
void container_tell_exit(Container& container) {
  if (container.event_sent) return;
  container.event_sent = true;
  Shim& shim = *container.shim;
  shim.loop.cancel(container.timer);
  if (container.delete_call.connection != 0) {
    reply_done(shim, container.delete_call);
    return forget_container(container);
  }
  broadcast_event(shim, berth_shim_Event_container_exited_tag, berth_shim_ExitRecord_fields, &container.exit);
  shutdown_progress(shim);
}

void kill_container(Shim& shim, CallRef call, std::string_view body) {
  Fault fault;
  Decoded<berth_shim_KillContainer> request(berth_shim_KillContainer_fields);
  if (!request.from(body, fault, "kill", "KillContainer")) return reply_fault(shim, call, fault);
  if (request->signal == 0 || request->signal > 64) {
    fault.refuse(FaultKind::kBadMessage, "kill", request->id, "no such signal");
    return reply_fault(shim, call, fault);
  }
  Container* container = find_container(shim, request->id);
  if (container == nullptr) {
    fault.refuse(FaultKind::kNotFound, "kill", request->id, "no such container");
    return reply_fault(shim, call, fault);
  }
  const int signal = static_cast<int>(request->signal);
  is_to_stop(*container, signal);
  // Our own child that has not been reaped: its number is still its own.
  if (!container->reaped && container->pid > 0) kill(container->pid, signal);
  const char* const dir = container->kill_dir.c_str();
  const bool told = !request->all || (signal == SIGKILL ? kill_tree(shim, dir, patience_of(*container))
                                                        : signal_tree(shim, dir, signal));
  if (told) return reply_done(shim, call);
  fault.kernel("kill", request->id, ENOMEM);
  reply_fault(shim, call, fault);
}

void delete_container(Shim& shim, CallRef call, std::string_view body) {
  Fault fault;
  Decoded<berth_shim_DeleteContainer> request(berth_shim_DeleteContainer_fields);
  if (!request.from(body, fault, "delete", "DeleteContainer")) return reply_fault(shim, call, fault);
  Container* container = find_container(shim, request->id);
  if (container == nullptr) {
    fault.refuse(FaultKind::kNotFound, "delete", request->id, "no such container");
    return reply_fault(shim, call, fault);
  }
  if (container->phase == Phase::kExited && container->event_sent) {
    reply_done(shim, call);
    return forget_container(*container);
  }
  if (container->phase == Phase::kExited || container->phase == Phase::kCreated) {
    container->delete_call = call;  // answered when it has ended and its log is drained
    if (container->phase == Phase::kCreated) kill(container->pid, SIGKILL);
    return;
  }
  fault.refuse(FaultKind::kState, "delete", request->id, "the container is running");
  reply_fault(shim, call, fault);
}

void ack_exit(Shim& shim, CallRef call, std::string_view body) {
  Fault fault;
  Decoded<berth_shim_AckExit> request(berth_shim_AckExit_fields);
  if (!request.from(body, fault, "ack", "AckExit")) return reply_fault(shim, call, fault);
  const Container* container = find_container(shim, request->container_id);
  if (container == nullptr || container->phase != Phase::kExited) {
    fault.refuse(FaultKind::kNotFound, "ack", request->container_id, "no exit of that name");
    return reply_fault(shim, call, fault);
  }
  exit_forget(shim, container->id.view());
  reply_done(shim, call);
}

void containers_kill(Shim& shim) {
  for (Container* at = shim.containers.first(); at != nullptr; at = at->next) {
    is_to_stop(*at, SIGKILL);
    if (at->pid > 0 && !at->reaped) kill(at->pid, SIGKILL);
    kill_tree(shim, at->kill_dir.c_str(), patience_of(*at));
  }
}

int containers_alive(const Shim& shim) {
  int alive = 0;
  for (const Container* at = shim.containers.first(); at != nullptr; at = at->next) {
    const bool abandoned = at->phase == Phase::kDiscarded;
    if (!abandoned && (!at->reaped || !at->event_sent)) alive++;
  }
  return alive;
}

}  // namespace berth
