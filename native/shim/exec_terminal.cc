#include "shim/exec_terminal.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/shim.h"
#include "shim/terminal.h"

namespace berth {
namespace {

void output_ended(Relay& relay, RelayEnd) {
  Exec& exec = *static_cast<ExecTerminal*>(relay.owner)->exec;
  Shim& shim = *exec.shim;
  exec_terminal_close(exec);
  execs_remove_leaves(shim);  // it may be the last thing that kept the exec
}

// A terminal has no end of input: whoever types may have gone, its processes go on.
void input_ended(Relay& relay, RelayEnd why) {
  if (why == RelayEnd::kFailed) output_ended(relay, why);
}

Fd stream_or_none(Fd& fd) {
  return is_stream(fd.get()) ? std::move(fd) : Fd();
}

}  // namespace

bool exec_terminal_make(Exec& exec, PassedFds& fds) {
  Owned<ExecTerminal> terminal = Owned<ExecTerminal>::make();
  if (!terminal) return false;
  terminal->exec = &exec;
  terminal->client_stdin = stream_or_none(fds.items[0]);
  terminal->client_stdout = stream_or_none(fds.items[1]);
  terminal->input.owner = terminal->output.owner = terminal.get();
  terminal->input.on_ended = input_ended;
  terminal->output.on_ended = output_ended;
  terminal->input.terminal_lives = terminal->output.terminal_lives = true;
  exec.terminal = std::move(terminal);
  return true;
}

bool exec_terminal_open(Exec& exec, Fd master) {
  if (!exec.terminal || !master) return true;
  ExecTerminal& terminal = *exec.terminal;
  Loop& loop = exec.shim->loop;
  if (terminal.client_stdin) {
    // Of its own, because each descriptor is watched once.
    Fd sink(fcntl(master.get(), F_DUPFD_CLOEXEC, 0));
    if (!sink || !relay_open(terminal.input, loop, std::move(terminal.client_stdin), std::move(sink))) return false;
  }
  return relay_open(terminal.output, loop, std::move(master), std::move(terminal.client_stdout));
}

bool exec_terminal_is_open(const Exec& exec) {
  return exec.terminal && relay_is_open(exec.terminal->output);
}

void exec_terminal_process_ended(Exec& exec) {
  if (exec.terminal) relay_process_ended(exec.terminal->input);
  if (exec.terminal) relay_process_ended(exec.terminal->output);
}

bool exec_terminal_resize(const Exec& exec, uint32_t columns, uint32_t rows) {
  return exec_terminal_is_open(exec) && set_terminal_size(exec.terminal->output.source.fd.get(), columns, rows);
}

void exec_terminal_close(Exec& exec) {
  if (!exec.terminal) return;
  relay_close(exec.terminal->input);
  relay_close(exec.terminal->output);
  exec.terminal.reset();
}

}  // namespace berth
