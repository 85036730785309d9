// The shim's side of the log pump. Every message is sent without waiting: a pump that is stuck on a dead disk costs its
// logs, never the loop.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/fd.h"
#include "shim/fault.h"
#include "shim/loop.h"

namespace berth {

struct Shim;

struct PumpClient : Watch {
  Shim* shim = nullptr;
  pid_t pid = 0;
  Fd socket;
  uint32_t next_slot = 1;
  int restarts = 0;
  uint64_t dropped = 0;         // by pumps before this one
  uint64_t dropped_latest = 0;  // by this one
};

bool pump_start(Shim& shim, Fault& fault);
bool pump_add(Shim& shim, uint32_t slot, const char* path, const int* streams, uint32_t count);
bool pump_say_reopen(Shim& shim, uint32_t slot);
bool pump_say_drain(Shim& shim, uint32_t slot);
// `streams`: bit 0 stdout, bit 1 stderr; `fds` are those that are set.
bool pump_tee(Shim& shim, uint32_t slot, uint32_t client, uint32_t streams, const int* fds);
void pump_say_untee(Shim& shim, uint32_t slot, uint32_t client);
void pump_say_remove(Shim& shim, uint32_t slot);
// Lets the pump write what it has and end.
void pump_end(Shim& shim);
void pump_exited(Shim& shim);

}  // namespace berth
