// Commands run in containers.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "common/fd.h"
#include "common/owned.h"
#include "common/text.h"
#include "shim/child.h"
#include "shim/connection.h"
#include "shim/exec_terminal.h"
#include "shim/loop.h"
#include "shim/process_end.h"

namespace berth {

struct Exec;

struct ExecTimer : Deadline {
  Exec* exec = nullptr;
};

// Its process is the second of two (launch_pad.h): `pid` is the first's until that has made it.
//
// kSettingUp --end of file--> kRunning --exit--> (told, and kept only while its cgroup leaf has members or its terminal
// somebody who reads it)
enum class ExecPhase { kSettingUp, kRunning, kEnded };

// The Watch is on `result`.
struct Exec : Watch {
  Shim* shim = nullptr;
  Exec* next = nullptr;
  ExecPhase phase = ExecPhase::kSettingUp;
  Text<128> id;
  Text<128> container_id;
  CallRef call;
  pid_t pid = 0;
  ProcessEnd end;  // of `pid`
  OwnedText leaf;  // its cgroup, below the container's: what a time-out kills
  bool tty = false;
  bool second = false;
  bool killed = false;
  bool probe = false;
  bool timed_out = false;
  bool answered = false;
  Owned<ExecTerminal> terminal;
  Fd result;   // what its process says until its execve
  Fd sync_fd;  // the first's, who makes the terminal
  Shared<ChildPage> page;
  Owned<Fault> held;  // why it failed, until it is known whether its container has ended
  ExecTimer held_timer;
  ExecTimer timer;        // the caller's time-out
  ExecTimer setup_timer;  // ours
};

struct ExecTable : OwnedList<Exec> {
  struct Sweep : Deadline {
    Shim* shim = nullptr;
  };
  int stream_count = 0;  // those that are no probes
  uint32_t next_leaf = 1;
  Sweep sweep;  // looks for leaves that have become empty
};

void exec_in_container(Shim& shim, Connection& connection, CallRef call, std::string_view body);
// Hangs up the terminals of the client that is gone.
void execs_client_gone(Shim& shim, uint64_t connection);
// Null when there is none of that name.
Exec* find_exec(Shim& shim, std::string_view id);
void kill_exec(Shim& shim, CallRef call, std::string_view body);
bool exec_exited(Shim& shim, pid_t pid, int wait_status);
void execs_kill(Shim& shim);
int execs_alive(const Shim& shim);
// Removes the leaves of ended execs, those within `dir`, that hold no process any more.
void execs_remove_leaves(Shim& shim, std::string_view dir = {});

}  // namespace berth
