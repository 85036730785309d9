#include "shim/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "shim/exec_child.h"
#include "shim/exec_failure.h"
#include "shim/exec_terminal.h"
#include "shim/exits.h"
#include "shim/kernel.h"
#include "shim/launch_pad.h"
#include "shim/limits.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr int64_t kSetupMs = 20'000;
constexpr int64_t kSweepMs = 2'000;

void stop_listening(Exec& exec) {
  if (!exec.result) return;
  exec.shim->loop.unwatch(exec.result.get());
  exec.shim->loop.forget(exec);
  exec.result.reset();
  exec.sync_fd.reset();
  exec.page.reset();
  exec.shim->loop.cancel(exec.setup_timer);
}

void exec_free(Exec& exec) {
  Shim& shim = *exec.shim;
  const Owned<Exec> freed = shim.execs.take(exec);
  if (!exec.probe) shim.execs.stream_count--;
  stop_listening(exec);
  process_end_forget(exec.end);
  shim.loop.cancel(exec.timer);
  shim.loop.cancel(exec.held_timer);
  exec_terminal_close(exec);
}

bool leaf_removed(const Exec& exec) {
  return exec.leaf.empty() || rmdir(exec.leaf.c_str()) == 0 || errno == ENOENT;
}

// An ended exec stays only for the sake of what it left running in the background, of what its terminal has not
// delivered yet, and of an answer that it still owes.
bool is_over(const Exec& exec) {
  return !exec.held && leaf_removed(exec) && !exec.terminal;
}

void retire(Exec& exec) {
  exec_terminal_process_ended(exec);  // while it cannot be taken for over
  exec.phase = ExecPhase::kEnded;
  process_end_forget(exec.end);
  if (!exec_terminal_is_open(exec)) exec_terminal_close(exec);
  Shim& shim = *exec.shim;
  shim.loop.cancel(exec.timer);
  stop_listening(exec);
  if (is_over(exec)) return exec_free(exec);
  if (!shim.execs.sweep.armed) shim.loop.arm(shim.execs.sweep, kSweepMs);
}

void sweep(Deadline& deadline) {
  Shim& shim = *static_cast<ExecTable::Sweep&>(deadline).shim;
  execs_remove_leaves(shim);
  for (const Exec* at = shim.execs.first(); at != nullptr; at = at->next) {
    if (at->phase == ExecPhase::kEnded && !deadline.armed) shim.loop.arm(deadline, kSweepMs);
  }
}

// From the first process to the one it has made, which is to die with it.
bool take_second(Exec& exec) {
  const pid_t second = second_of(exec.page);
  if (second == 0) return false;
  exec.pid = second;
  if (!process_end_watch(*exec.shim, exec.end, second) && errno != ESRCH) log_line("an exec's pidfd", errno);
  exec.second = true;
  if (exec.killed) kill(second, SIGKILL);
  return true;
}

// The first may be making the second at this moment: that is found later, by the end of either.
// False: there is no memory for what it has started.
bool kill_all_of(Exec& exec) {
  exec.killed = true;
  take_second(exec);
  if (exec.pid > 0 && exec.phase != ExecPhase::kEnded) kill(exec.pid, SIGKILL);
  return kill_tree(*exec.shim, exec.leaf.c_str());
}

void timed_out(Deadline& deadline) {
  Exec& exec = *static_cast<ExecTimer&>(deadline).exec;
  exec.timed_out = true;
  kill_all_of(exec);
}

void setup_late(Deadline& deadline) {
  Exec& exec = *static_cast<ExecTimer&>(deadline).exec;
  Fault fault;
  fault.refuse(FaultKind::kUnresponsive, "exec", exec.id.view(), "setup did not finish in time");
  reply_fault(*exec.shim, exec.call, fault);
  exec.answered = true;
  kill_all_of(exec);
}

void started(Exec& exec) {
  exec.phase = ExecPhase::kRunning;
  exec.answered = true;
  berth_shim_ExecStarted message = {};
  message.pid = static_cast<uint32_t>(exec.pid);
  reply(*exec.shim, exec.call, berth_shim_Response_exec_started_tag, berth_shim_ExecStarted_fields, &message);
}

// The terminal's master has been sent before the second was made, so that nobody in the container can send another.
// False with errno: nobody would see what it writes.
bool take_terminal(Exec& exec) {
  Fd master;
  bool open = true;
  if (exec.sync_fd && receive_word(exec.sync_fd.get(), master) == kSaysTerminal) {
    open = exec_terminal_open(exec, std::move(master));
  }
  const int error = errno;
  exec.sync_fd.reset();
  errno = error;
  return open;
}

// The end of file is the execve, or the end of whoever was to do it. `gone`: that has been reaped.
void hear(Exec& exec, bool gone) {
  if (!exec.result) return;
  Launched launched = hear_launch(exec.result.get(), *exec.page);
  if (launched == Launched::kNothing && !gone) return;
  // It may have run and ended before the first has closed its end: one that failed would have said so.
  if (launched == Launched::kNothing) launched = Launched::kRuns;
  const int deaf = take_terminal(exec) ? 0 : errno;
  take_second(exec);
  if (deaf != 0 && launched == Launched::kRuns) {
    launched = Launched::kFailed;
    exec.page->fault.kernel("terminal", exec.id.view(), deaf);
  }
  if (!exec.answered && launched == Launched::kRuns && exec.second) {
    started(exec);
  } else if (!exec.answered && !exec.timed_out && !exec.held) {  // else its end tells
    if (launched != Launched::kFailed) exec.page->fault.kernel("exec", exec.id.view(), EPIPE);
    exec_failed(exec, exec.page->fault);
    if (!gone) kill(exec.pid, SIGKILL);  // what the container has said in its name may not be so
  }
  stop_listening(exec);
}

void child_spoke(Watch& watch, uint32_t) {
  hear(static_cast<Exec&>(watch), false);
}

// What streams may take is less than all there is: a probe finds a place.
bool take_place(Shim& shim, Connection& connection, const berth_shim_Exec& request, Fault& fault) {
  const char* id = request.exec_id;
  if (shim.execs.size() >= kMaxExecs) {
    return fault.limit("exec", id, kMaxExecs, "execs in a pod that run or have left processes behind");
  }
  if (request.probe) return true;
  if (shim.execs.stream_count >= kMaxStreams) {
    return fault.limit("exec", id, kMaxStreams, "execs with streams in a pod that run or have left processes behind");
  }
  return take_stream(shim, connection, "exec", id, fault);
}

bool check_request(Shim& shim, Connection& connection, const berth_shim_Exec& request, Container*& container,
                   Fault& fault) {
  container = find_container(shim, request.container_id);
  if (container == nullptr) {
    return fault.refuse(FaultKind::kNotFound, "exec", request.container_id, "no such container");
  }
  if (container->phase == Phase::kExited) return container_has_ended(*container, "exec", fault);
  if (container->phase != Phase::kRunning || shim.pod.phase != PodPhase::kRunning) {
    return fault.refuse(FaultKind::kState, "exec", request.container_id, "the container is not running");
  }
  if (request.exec_id[0] == '\0' || find_exec(shim, request.exec_id) != nullptr) {
    return fault.refuse(FaultKind::kState, "exec", request.exec_id, "the exec id is empty or in use");
  }
  if (connection.fds.count != 3) {
    return fault.refuse(FaultKind::kBadMessage, "exec", request.exec_id,
                        "stdin, stdout and stderr did not come with it");
  }
  return take_place(shim, connection, request, fault);
}

bool make_leaf(Shim& shim, const Container& container, Exec& exec, Fault& fault) {
  Path path;
  if (!container.kill_dir.empty()) {
    path.add(container.kill_dir.view()).add("/exec-").add_number(shim.execs.next_leaf++);
    if (path.cut()) return fault.kernel("cgroup", path.view(), ENAMETOOLONG);
    if (!exec.leaf.set(path.view())) return fault.kernel("cgroup", path.view(), ENOMEM);
    if (mkdir(path.c_str(), 0755) != 0) {
      fault.kernel("cgroup", path.view(), errno);
      (void)exec.leaf.set("");  // not ours to remove
      return false;
    }
  }
  return true;
}

bool launch(Shim& shim, Connection& connection, const Container& container, Exec& exec, std::string_view process,
            Fault& fault) {
  Fd theirs, result;
  const Fd init = kernel::pidfd(container.pid);
  if (!exec.page.make()) return fault.kernel("mmap", exec.id.view(), errno);
  if (!init) return fault.kernel("pidfd_open", container.id.view(), errno);
  if (exec.tty && !exec_terminal_make(exec, connection.fds)) return fault.kernel("exec", "", ENOMEM);
  if (!make_pipe(exec.result, result) || fcntl(exec.result.get(), F_SETFL, O_NONBLOCK) != 0 ||
      (exec.tty && !make_sync(exec.sync_fd, theirs))) {
    return fault.kernel("pipe", "", errno);
  }
  const pid_t pid = clone_child(0);
  if (pid == 0) {
    const Fd(&fds)[3] = connection.fds.items;
    const bool tty = exec.tty;  // then 0, 1 and 2 are the terminal that it makes
    run_exec_child({.fds = {.stdio = {tty ? -1 : fds[0].get(), tty ? -1 : fds[1].get(), tty ? -1 : fds[2].get()},
                            .sync = theirs.get(),
                            .extra = init.get(),
                            .null = shim.pod.null.get(),
                            .result = result.get()},
                    .page = exec.page.get(),
                    .process = process,
                    .cgroup_dirs = {container.cgroup_dirs.data(), container.cgroup_dirs.size()},
                    .kill_dir = container.kill_dir.view(),
                    .kill_dir_v2 = container.kill_dir_v2,
                    .leaf = exec.leaf.c_str(),
                    .tty = tty,
                    .reset_oom_score = shim.pod.oom_score_set,
                    .own_users = shim.pod.own_users,
                    .uids = shim.pod.uids});
  }
  if (pid < 0) return fault.kernel("clone", exec.id.view(), errno);
  exec.pid = pid;
  if (!process_end_watch(shim, exec.end, pid)) return fault.kernel("pidfd_open", exec.id.view(), errno);
  return shim.loop.watch(exec.result.get(), exec, EPOLLIN) ? true : fault.kernel("epoll", "", errno);
}

Exec* exec_make(Shim& shim, CallRef call, const berth_shim_Exec& request) {
  Owned<Exec> made = Owned<Exec>::make();
  if (!made) return nullptr;
  Exec& exec = shim.execs.push_front(std::move(made));
  exec.on_ready = child_spoke;
  exec.shim = &shim;
  exec.call = call;
  exec.id.add(request.exec_id);
  exec.container_id.add(request.container_id);
  exec.tty = request.tty;
  exec.probe = request.probe;
  exec.timer.exec = exec.setup_timer.exec = &exec;
  exec.timer.on_expired = timed_out;
  exec.setup_timer.on_expired = setup_late;
  if (!exec.probe) shim.execs.stream_count++;
  shim.execs.sweep.shim = &shim;
  shim.execs.sweep.on_expired = sweep;
  return &exec;
}

}  // namespace

Exec* find_exec(Shim& shim, std::string_view id) {
  for (Exec* at = shim.execs.first(); at != nullptr; at = at->next) {
    if (at->id.view() == id) return at;
  }
  return nullptr;
}

void exec_in_container(Shim& shim, Connection& connection, CallRef call, std::string_view body) {
  Fault fault;
  std::string_view process;
  Container* container = nullptr;
  Decoded<berth_shim_Exec> request(berth_shim_Exec_fields);
  request->process = remember_bytes(&process);
  if (!request.from(body, fault, "exec", "Exec")) return reply_fault(shim, call, fault);
  if (!check_request(shim, connection, *request, container, fault)) return reply_fault(shim, call, fault);
  Exec* exec = exec_make(shim, call, *request);
  if (exec == nullptr) {
    fault.kernel("exec", request->exec_id, ENOMEM);
    return reply_fault(shim, call, fault);
  }
  if (!make_leaf(shim, *container, *exec, fault) || !launch(shim, connection, *container, *exec, process, fault)) {
    if (exec->pid > 0) kill_all_of(*exec);  // it may have come as far as its second, which nobody would hear of
    exec_failed(*exec, fault);
    return retire(*exec);
  }
  if (request->timeout_ms != 0) shim.loop.arm(exec->timer, request->timeout_ms);
  shim.loop.arm(exec->setup_timer, kSetupMs);
}

void execs_client_gone(Shim& shim, uint64_t connection) {
  bool hung_up = false;
  for (Exec* at = shim.execs.first(); at != nullptr; at = at->next) {
    if (at->call.connection != connection || !at->terminal) continue;
    exec_terminal_close(*at);
    hung_up = true;
  }
  if (hung_up) execs_remove_leaves(shim);  // a terminal may be the last thing that kept an exec
}

void kill_exec(Shim& shim, CallRef call, std::string_view body) {
  Fault fault;
  Decoded<berth_shim_KillExec> request(berth_shim_KillExec_fields);
  if (!request.from(body, fault, "exec", "KillExec")) return reply_fault(shim, call, fault);
  Exec* exec = find_exec(shim, request->exec_id);
  if (exec == nullptr) {
    fault.refuse(FaultKind::kNotFound, "exec", request->exec_id, "no such exec");
    return reply_fault(shim, call, fault);
  }
  if (kill_all_of(*exec)) return reply_done(shim, call);
  fault.kernel("kill", request->exec_id, ENOMEM);
  reply_fault(shim, call, fault);
}

bool exec_exited(Shim& shim, pid_t pid, int wait_status) {
  for (Exec* at = shim.execs.first(); at != nullptr; at = at->next) {
    if (is_second(at->page, pid)) take_second(*at);
    if (at->pid != pid || at->phase == ExecPhase::kEnded) continue;
    if (take_second(*at)) return true;  // the first has done its part
    // One that was so slow that its time was over before its command ran has been timed out like any other.
    if (at->timed_out && !at->answered && !at->held) started(*at);
    hear(*at, true);
    if (at->phase == ExecPhase::kRunning) {
      berth_shim_ExecExited exited = {};
      copy_text(exited.exec_id, sizeof exited.exec_id, at->id.view());
      exited.exit_code = exit_code_of(wait_status);
      exited.timed_out = at->timed_out;
      send_event(shim, at->call, berth_shim_Event_exec_exited_tag, berth_shim_ExecExited_fields, &exited);
    }
    retire(*at);
    return true;
  }
  return false;
}

void execs_kill(Shim& shim) {
  for (Exec* at = shim.execs.first(); at != nullptr; at = at->next) kill_all_of(*at);
}

int execs_alive(const Shim& shim) {
  int alive = 0;
  for (const Exec* at = shim.execs.first(); at != nullptr; at = at->next) alive += at->phase != ExecPhase::kEnded;
  return alive;
}

void execs_remove_leaves(Shim& shim, std::string_view dir) {
  for (Exec* at = shim.execs.first(); at != nullptr;) {
    Exec* const next = at->next;
    if (at->phase == ExecPhase::kEnded && starts_with(at->leaf.view(), dir) && is_over(*at)) exec_free(*at);
    at = next;
  }
}

}  // namespace berth
