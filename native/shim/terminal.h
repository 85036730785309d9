#pragma once

#include "shim/build.h"
#include "shim/child.h"
#include "shim/messages.h"

namespace berth {

// A terminal of the container's own devpts: its user side becomes 0, 1 and 2 and /dev/console; its master goes to the
// shim.
bool make_terminal(Build& build);
// 0 becomes our controlling terminal: we must lead a session, and be whom it is for.
bool control_terminal(Fault& fault);

// A terminal for an exec, in the container's mount namespace; its /dev/console stays init's.
bool make_exec_terminal(const berth_shim_Process& process, ChildPage& page);

// TIOCSWINSZ: the terminal's foreground processes are told (SIGWINCH).
bool set_terminal_size(int master, uint32_t columns, uint32_t rows);

}  // namespace berth
