#include "shim/attach.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/limits.h"
#include "shim/shim.h"

namespace berth {
namespace {

// How long a client that has ended its input still gets answers, where the end of its input is the end of its visit.
constexpr int64_t kLeaveMs = 500;

void tell_end(const Attach& attach, bool slow) {
  berth_shim_AttachEnded ended = {};
  copy_text(ended.container_id, sizeof ended.container_id, attach.container->id.view());
  ended.slow = slow;
  send_event(*attach.container->shim, attach.call, berth_shim_Event_attach_ended_tag, berth_shim_AttachEnded_fields,
             &ended);
}

bool gets_output(const Attach& attach) {
  return attach.outputs[0] || attach.outputs[1];
}

// Nobody writes to the container's stdin any more: it reads an end of file.
void close_stdin(Container& container) {
  container.stdin_pipe.reset();
  for (Attach* at = container.attaches.first(); at != nullptr; at = at->next) relay_close(at->input);
}

// stdin_once: the first client that leaves takes the container's stdin with him. A terminal has no end of input, and so
// stays as it is.
void stdin_left(Attach& attach) {
  if (!attach.has_stdin) return;
  attach.has_stdin = false;
  Container& container = *attach.container;
  if (container.stdin_once && !container.tty) close_stdin(container);
}

void attach_free(Attach& attach) {
  const Owned<Attach> freed = attach.container->attaches.take(attach);
  relay_finish(attach.input);
  stdin_left(attach);
  attach.container->shim->loop.cancel(attach.timer);
  if (gets_output(attach)) pump_say_untee(*attach.container->shim, attach.container->log.slot, attach.client);
}

// Its outputs are closed before it is told: what follows on them is their end.
void end(Attach& attach, bool slow) {
  if (gets_output(attach)) pump_say_untee(*attach.container->shim, attach.container->log.slot, attach.client);
  for (Fd& output : attach.outputs) output.reset();
  relay_close(attach.input);
  tell_end(attach, slow);
  attach_free(attach);
}

void leave(Deadline& deadline) {
  end(*static_cast<AttachTimer&>(deadline).attach, false);
}

void input_ended(Relay& relay, RelayEnd why) {
  auto& attach = *static_cast<Attach*>(relay.owner);
  Container& container = *attach.container;
  if (why == RelayEnd::kFailed) return end(attach, false);
  if (why == RelayEnd::kSinkGone) return;  // the container has closed its stdin; he may go on listening
  stdin_left(attach);
  // As elsewhere: who has joined an input that stays open for others leaves when he has said what he had to say.
  if (!container.stdin_once && !container.tty) container.shim->loop.arm(attach.timer, kLeaveMs);
}

bool check_request(Shim& shim, Connection& connection, const berth_shim_Attach& request, Container*& container,
                   Fault& fault) {
  const char* id = request.container_id;
  container = find_container(shim, id);
  if (container == nullptr) return fault.refuse(FaultKind::kNotFound, "attach", id, "no such container");
  const Phase phase = container->phase;
  if (phase != Phase::kCreated && phase != Phase::kStarting && phase != Phase::kRunning) {
    return fault.refuse(FaultKind::kState, "attach", id, "the container is not running");
  }
  if (connection.fds.count != 3) {
    return fault.refuse(FaultKind::kBadMessage, "attach", id, "stdin, stdout and stderr did not come with it");
  }
  if (container->attaches.size() >= kMaxAttaches) {
    return fault.limit("attach", id, kMaxAttaches, "clients attached to a container");
  }
  return take_stream(shim, connection, "attach", id, fault);
}

Attach* attach_make(Container& container, CallRef call) {
  Owned<Attach> made = Owned<Attach>::make();
  if (!made) return nullptr;
  Attach& attach = container.attaches.push_front(std::move(made));
  attach.container = &container;
  attach.call = call;
  attach.client = container.shim->containers.next_attach++;
  attach.input.owner = &attach;
  attach.input.on_ended = input_ended;
  attach.timer.attach = &attach;
  attach.timer.on_expired = leave;
  return &attach;
}

// A container without stdin, or one that has lost it, reads nothing: so does nobody from the client.
bool open_input(Attach& attach, Fd& source, Fault& fault) {
  const Container& container = *attach.container;
  if (!container.has_stdin || !is_stream(source.get())) return true;
  attach.has_stdin = true;
  const Fd& stdin_end = container.tty ? container.log.streams[0] : container.stdin_pipe;
  if (!stdin_end) return true;
  attach.input.terminal_lives = container.tty;
  Fd sink(fcntl(stdin_end.get(), F_DUPFD_CLOEXEC, 0));  // of its own, because each descriptor is watched once
  if (sink && relay_open(attach.input, container.shim->loop, std::move(source), std::move(sink))) return true;
  return fault.kernel("attach", "stdin", errno);
}

bool ask_tee(const Attach& attach) {
  int fds[2];
  int count = 0;
  uint32_t streams = 0;
  for (uint32_t i = 0; i < 2; i++) {
    if (!attach.outputs[i]) continue;
    streams |= 1u << i;
    fds[count++] = attach.outputs[i].get();
  }
  return pump_tee(*attach.container->shim, attach.container->log.slot, attach.client, streams, fds);
}

// The answer comes when the pump copies: all that is written after it reaches the client.
bool open_outputs(Attach& attach, PassedFds& fds, Fault& fault) {
  const Container& container = *attach.container;
  for (int i = 0; i < container.log.stream_count; i++) {
    if (is_stream(fds.items[i + 1].get())) attach.outputs[i] = std::move(fds.items[i + 1]);
  }
  if (!gets_output(attach)) return true;
  if (container.log.phase != LogPhase::kOpen) {
    return fault.refuse(FaultKind::kState, "attach", container.id.view(), "nobody reads the container's output");
  }
  return ask_tee(attach)
             ? true
             : fault.refuse(FaultKind::kUnresponsive, "log", container.log.path.view(), "the log pump is stuck");
}

void answered(Attach& attach) {
  attach.answered = true;
  reply_done(*attach.container->shim, attach.call);
}

Attach* by_client(const Container& container, uint32_t client) {
  for (Attach* at = container.attaches.first(); at != nullptr; at = at->next) {
    if (at->client == client) return at;
  }
  return nullptr;
}

void refused(Attach& attach, const Fault& fault) {
  reply_fault(*attach.container->shim, attach.call, fault);
  for (Fd& output : attach.outputs) output.reset();
  attach.has_stdin = false;  // he was never there
  relay_close(attach.input);
  attach_free(attach);
}

void teed(Attach& attach, int error) {
  if (attach.answered) return;  // a new pump has taken over
  if (error == 0) return answered(attach);
  Fault fault;
  fault.kernel("log", attach.container->id.view(), error);
  refused(attach, fault);
}

void tee_over(Attach& attach, int error) {
  for (Fd& output : attach.outputs) output.reset();
  // Who reads no more may go on writing; he leaves with his connection, or with the container.
  if (error == EPIPE && attach.container->phase != Phase::kExited) return;
  end(attach, error == ENOBUFS);
}

}  // namespace

void attach_to_container(Shim& shim, Connection& connection, CallRef call, std::string_view body) {
  Fault fault;
  Container* container = nullptr;
  Decoded<berth_shim_Attach> request(berth_shim_Attach_fields);
  if (!request.from(body, fault, "attach", "Attach")) return reply_fault(shim, call, fault);
  if (!check_request(shim, connection, *request, container, fault)) return reply_fault(shim, call, fault);
  Attach* attach = attach_make(*container, call);
  if (attach == nullptr) {
    fault.kernel("attach", request->container_id, ENOMEM);
    return reply_fault(shim, call, fault);
  }
  if (!open_outputs(*attach, connection.fds, fault) || !open_input(*attach, connection.fds.items[0], fault)) {
    return refused(*attach, fault);
  }
  if (!gets_output(*attach)) answered(*attach);
}

void attaches_client_gone(Shim& shim, uint64_t connection) {
  for (Container* container = shim.containers.first(); container != nullptr; container = container->next) {
    for (Attach* at = container->attaches.first(); at != nullptr;) {
      Attach* const next = at->next;
      if (at->call.connection == connection) attach_free(*at);
      at = next;
    }
  }
}

void attach_answer(Container& container, const PumpMessage& message) {
  Attach* attach = by_client(container, message.client);
  if (attach == nullptr) return;
  message.word == PumpWord::kTeed ? teed(*attach, message.error) : tee_over(*attach, message.error);
}

void attaches_readd(Container& container) {
  for (Attach* at = container.attaches.first(); at != nullptr; at = at->next) {
    if (gets_output(*at)) ask_tee(*at);
  }
}

void attaches_end(Container& container, bool all) {
  close_stdin(container);
  for (Attach* at = container.attaches.first(); at != nullptr;) {
    Attach* const next = at->next;
    at->has_stdin = false;
    if (all || !gets_output(*at)) end(*at, false);
    at = next;
  }
}

}  // namespace berth
