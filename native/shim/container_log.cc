// A container's log, seen from the shim: what the pump was asked and what it answered.
#include <errno.h>
#include <string.h>

#include "shim/attach.h"
#include "shim/shim.h"

namespace berth {
namespace {

Container* by_slot(Shim& shim, uint32_t slot) {
  for (Container* at = shim.containers.first(); at != nullptr; at = at->next) {
    if (at->log.slot == slot) return at;
  }
  return nullptr;
}

bool ask_add(Container& container) {
  const ContainerLog& log = container.log;
  const int streams[2] = {log.streams[0].get(), log.streams[1].get()};
  return pump_add(*container.shim, log.slot, log.path.c_str(), streams, static_cast<uint32_t>(log.stream_count));
}

void added(Container& container, int error) {
  if (container.phase == Phase::kSettingUp && container.log.phase == LogPhase::kAdding) {
    if (error != 0) {
      container.fault->kernel("log", container.log.path.view(), error);
      return container_setup_failed(container);
    }
    container.log.phase = LogPhase::kOpen;
    return container_created_if_ready(container);
  }
  // A new pump has taken over; one that cannot open the file goes without.
  if (error != 0) log_line("a log cannot be opened again");
}

void reopened(Container& container, int error) {
  ContainerLog& log = container.log;
  if (log.reopen_count == 0) return;
  const CallRef call = log.reopen_calls[0];
  log.reopen_count--;
  memmove(&log.reopen_calls[0], &log.reopen_calls[1], sizeof(CallRef) * static_cast<size_t>(log.reopen_count));
  if (error == 0) return reply_done(*container.shim, call);
  Fault fault;
  fault.kernel("log", log.path.view(), error);
  reply_fault(*container.shim, call, fault);
}

void count_dropped(Container& container, uint64_t by_this_pump) {
  ContainerLog& log = container.log;
  const uint64_t bytes = log.dropped_before + by_this_pump;
  if (bytes <= log.dropped) return;
  log.dropped = bytes;
  berth_shim_LogDropped told = {};
  copy_text(told.container_id, sizeof told.container_id, container.id.view());
  told.bytes = bytes;
  broadcast_event(*container.shim, berth_shim_Event_log_dropped_tag, berth_shim_LogDropped_fields, &told);
}

}  // namespace

void container_log_add(Container& container) {
  container.log.phase = LogPhase::kAdding;
  if (ask_add(container)) return;
  container.fault->refuse(FaultKind::kUnresponsive, "log", container.log.path.view(), "the log pump does not listen");
  container_setup_failed(container);
}

void container_log_close(Container& container) {
  ContainerLog& log = container.log;
  if (log.phase != LogPhase::kNone) pump_say_remove(*container.shim, log.slot);
  log.phase = LogPhase::kNone;
  for (Fd& stream : log.streams) stream.reset();
}

void container_log_answer(Shim& shim, const PumpMessage& message) {
  Container* container = by_slot(shim, message.slot);
  if (container == nullptr) return;
  count_dropped(*container, message.log_dropped);  // before the exit, which may follow from the word
  switch (message.word) {
    case PumpWord::kAdded:
      return added(*container, message.error);
    case PumpWord::kReopened:
      return reopened(*container, message.error);
    case PumpWord::kDrained:
      return container_tell_exit(*container);
    case PumpWord::kTeed:
    case PumpWord::kTeeOver:
      return attach_answer(*container, message);
    case PumpWord::kClosed:
      container->log.phase = LogPhase::kNone;
      for (Fd& stream : container->log.streams) stream.reset();
      return container_tell_exit(*container);
    default:
      return;
  }
}

void container_logs_readd(Shim& shim) {
  for (Container* at = shim.containers.first(); at != nullptr;) {
    Container* const next = at->next;  // adding may end a setup and free it
    at->log.dropped_before = at->log.dropped;
    while (at->log.reopen_count > 0) reopened(*at, EPIPE);
    if (at->log.phase == LogPhase::kAdding) {
      container_log_add(*at);
    } else if (at->log.phase != LogPhase::kNone) {
      ask_add(*at);
      attaches_readd(*at);
      if (at->log.phase == LogPhase::kDraining) pump_say_drain(shim, at->log.slot);
    }
    at = next;
  }
}

void reopen_log(Shim& shim, CallRef call, std::string_view body) {
  Fault fault;
  Decoded<berth_shim_ReopenLog> request(berth_shim_ReopenLog_fields);
  if (!request.from(body, fault, "log", "ReopenLog")) return reply_fault(shim, call, fault);
  Container* container = find_container(shim, request->container_id);
  if (container == nullptr) {
    fault.refuse(FaultKind::kNotFound, "log", request->container_id, "no such container");
    return reply_fault(shim, call, fault);
  }
  ContainerLog& log = container->log;
  constexpr int kMost = sizeof log.reopen_calls / sizeof log.reopen_calls[0];
  const bool open = log.phase == LogPhase::kOpen || log.phase == LogPhase::kDraining;
  if (!open || log.path.empty()) {
    fault.refuse(FaultKind::kState, "log", request->container_id, "the container has no open log");
    return reply_fault(shim, call, fault);
  }
  if (log.reopen_count == kMost || !pump_say_reopen(shim, log.slot)) {
    fault.refuse(FaultKind::kUnresponsive, "log", log.path.view(), "the log pump does not answer");
    return reply_fault(shim, call, fault);
  }
  log.reopen_calls[log.reopen_count++] = call;
}

}  // namespace berth
