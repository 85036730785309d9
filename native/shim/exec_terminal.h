// The terminal of an exec: its master lives here, between the client's pipes and the process.
//
//   client's stdin  ─▶ input ─▶ ┐
//                               ├ master ═ the process's terminal
//   client's stdout ◀─ output ◀─┘
//
// The end of the client's stdin ends only `input`. The end of `output` ends all: either the process has ended and
// nobody uses the terminal any more, or the client is gone and the terminal hangs up on its processes.
#pragma once

#include "shim/connection.h"
#include "shim/relay.h"

namespace berth {

struct Exec;

struct ExecTerminal {
  Exec* exec = nullptr;
  Fd client_stdin, client_stdout;  // until the master is there
  Relay input, output;
};

// Takes stdin and stdout of what came with the request. False: no memory.
bool exec_terminal_make(Exec& exec, PassedFds& fds);
// Where nobody waits for the terminal any more, the master is closed at once.
bool exec_terminal_open(Exec& exec, Fd master);
bool exec_terminal_is_open(const Exec& exec);
// From now on the terminal's last user ends it: at once when there is none.
void exec_terminal_process_ended(Exec& exec);
bool exec_terminal_resize(const Exec& exec, uint32_t columns, uint32_t rows);
// Closes everything. Idempotent.
void exec_terminal_close(Exec& exec);

}  // namespace berth
