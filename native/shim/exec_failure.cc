#include "shim/exec_failure.h"

#include <errno.h>

#include "shim/shim.h"

namespace berth {
namespace {

constexpr int64_t kEndMs = 2'000;

void answer(Exec& exec, const Fault& fault) {
  exec.answered = true;
  reply_fault(*exec.shim, exec.call, fault);
}

// It may be the last thing that kept the exec.
void answer_held(Exec& exec) {
  Shim& shim = *exec.shim;
  shim.loop.cancel(exec.held_timer);
  answer(exec, *exec.held);
  exec.held.reset();
  const Path leaf(exec.leaf.view());
  execs_remove_leaves(shim, leaf.view());
}

// What a container that ends does to who is on the way into it: its pid namespace takes nobody any more (ENOMEM), and
// kills who is in it; its cgroup goes.
bool may_be_its_end(const Fault& fault) {
  if (fault.kind != FaultKind::kKernel) return false;
  if (fault.error == ENOMEM) return std::string_view(fault.step) == "clone";
  return fault.error == ESRCH || fault.error == EPIPE || fault.error == ENOENT || fault.error == ENODEV;
}

// The container lives on, or takes its time to end.
void held_too_long(Deadline& deadline) {
  Exec& exec = *static_cast<ExecTimer&>(deadline).exec;
  const Container* container = find_container(*exec.shim, exec.container_id.view());
  if (container == nullptr || container->told_to_stop) {
    exec.held->refuse(FaultKind::kState, "exec", exec.container_id.view(), "the container is being ended");
  }
  answer_held(exec);
}

}  // namespace

void exec_failed(Exec& exec, const Fault& fault) {
  if (!may_be_its_end(fault)) return answer(exec, fault);
  const Container* container = find_container(*exec.shim, exec.container_id.view());
  if (container != nullptr && container->phase == Phase::kExited) {
    Fault ended;
    container_has_ended(*container, "exec", ended);
    return answer(exec, ended);
  }
  exec.held = Owned<Fault>::make(fault);
  if (!exec.held) return answer(exec, fault);
  exec.held_timer.exec = &exec;
  exec.held_timer.on_expired = held_too_long;
  exec.shim->loop.arm(exec.held_timer, kEndMs);
}

void execs_container_ended(Shim& shim, const Container& container) {
  for (Exec* at = shim.execs.first(); at != nullptr;) {
    if (!at->held || at->container_id.view() != container.id.view()) {
      at = at->next;
      continue;
    }
    container_has_ended(container, "exec", *at->held);
    answer_held(*at);
    at = shim.execs.first();  // others may have gone with it
  }
}

}  // namespace berth
