// Clients that have joined the streams of a container's first process.
//
// Output is copied to them by the log pump; the shim keeps their ends too, so that a new pump can go on. What a client
// sends goes to the container's stdin, whose write end the shim keeps for the container's life.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/fd.h"
#include "common/owned.h"
#include "shim/connection.h"
#include "shim/log_pump/protocol.h"
#include "shim/loop.h"
#include "shim/relay.h"

namespace berth {

struct Container;
struct Attach;

struct AttachTimer : Deadline {
  Attach* attach = nullptr;
};

struct Attach {
  Container* container = nullptr;
  Attach* next = nullptr;
  CallRef call;
  uint32_t client = 0;     // its name for the log pump
  bool answered = false;   // the pump copies to it, or need not
  bool has_stdin = false;  // and has not been at its end
  Fd outputs[2];           // none: does not want it, or reads no more
  Relay input;
  AttachTimer timer;
};

void attach_to_container(Shim& shim, Connection& connection, CallRef call, std::string_view body);
// The client's connection is closed.
void attaches_client_gone(Shim& shim, uint64_t connection);
// The pump has taken or lost a client.
void attach_answer(Container& container, const PumpMessage& message);
// A new pump copies on.
void attaches_readd(Container& container);
// The container has ended: nobody reads its stdin. Those who get its output stay until they have it (`all`: go, too).
void attaches_end(Container& container, bool all);

}  // namespace berth
