// How a container ended, on disk before anyone is told.
#pragma once

#include <string_view>

#include "shim/messages.h"

namespace berth {

struct Shim;

// Makes exits/ in the pod's directory.
bool exits_open(Shim& shim);
// Takes the room that the record will need, before there is a process whose end it would tell: a full disk then refuses
// the container, not its end.
bool exit_reserve(Shim& shim, std::string_view id);
// Gives back what was reserved and not used.
void exit_release(Shim& shim, std::string_view id);
// Writes exits/<id> over what was reserved, and renames. A failure is logged: the shim still tells it on its socket.
void exit_write(Shim& shim, const berth_shim_ExitRecord& record);
void exit_forget(Shim& shim, std::string_view id);

// The exit code as a shell would give it: 128 + n for signal n.
uint32_t exit_code_of(int wait_status);
uint32_t exit_signal_of(int wait_status);

}  // namespace berth
