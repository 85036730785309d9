// The pod's containers, as the shim sees them: a process, its cgroup, its log.
//
//   CreateContainer
//        │ clone
//        ▼          ready            StartContainer           end of file
//   kSettingUp ───────────▶ kCreated ──────────────▶ kStarting ──────────▶ kRunning
//        │ failed, late           │ it died, Delete      │ execve failed        │ exit
//        ▼                        ▼                      ▼                      ▼
//   kDiscarded (never listed)    kExited ◀───────────────────────────────────────
//
// An exited container stays listed until DeleteContainer; its event goes out when the log has been drained.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "common/fd.h"
#include "common/owned.h"
#include "common/text.h"
#include "shim/attach.h"
#include "shim/child.h"
#include "shim/connection.h"
#include "shim/log_pump/protocol.h"
#include "shim/loop.h"
#include "shim/messages.h"
#include "shim/process_end.h"

namespace berth {

struct Container;

enum class Phase { kSettingUp, kCreated, kStarting, kRunning, kExited, kDiscarded };
enum class LogPhase { kNone, kAdding, kOpen, kDraining };

struct ContainerTimer : Deadline {
  Container* container = nullptr;
};

struct ContainerLog {
  LogPhase phase = LogPhase::kNone;
  uint32_t slot = 0;
  OwnedText path;  // "": there is no file
  Fd streams[2];   // read ends (or the terminal's master): kept here too, so that a new pump can go on
  int stream_count = 0;
  CallRef reopen_calls[4];
  int reopen_count = 0;
  uint64_t dropped_before = 0;  // bytes that could not be written, by pumps before this one
  uint64_t dropped = 0;         // with those
};

// The Watch is on `sync_fd`, the child's words.
struct Container : Watch {
  Shim* shim = nullptr;
  Container* next = nullptr;
  Text<128> id;
  Phase phase = Phase::kSettingUp;
  pid_t pid = 0;
  ProcessEnd end;       // of `pid`
  bool reaped = false;  // or dead, and held by a tracer
  bool tty = false;
  bool nodes_pids = false;   // it is in the node's pid namespace
  Fd table;                  // a mount namespace with a procfs of its pid namespace, where that is not the pod's
  bool shares_pids = false;  // its pid namespace outlives it: what it leaves behind is killed by cgroup
  bool event_sent = false;
  OwnedText kill_dir;
  bool kill_dir_v2 = false;
  OwnedText oom_file;
  uint64_t oom_kills_before = 0;  // those that cannot have been its end: of before its start, or before it was to stop
  bool told_to_stop = false;
  bool killed = false;           // by us, while it lived
  OwnedArray<char> cgroup_dirs;  // of its plan, still encoded, for its execs
  int64_t started_at_ns = 0;
  berth_shim_ExitRecord exit = {};
  bool has_stdin = false;
  bool stdin_once = false;
  Fd stdin_pipe;  // the write end; with a terminal its master is
  OwnedList<Attach> attaches;
  ContainerLog log;

  // While it is set up.
  bool child_ready = false;
  Fd sync_fd;
  bool of_two = false;    // its process is the second of two (launch_pad.h)
  bool launched = false;  // that has been made: sync_fd is what it says until its execve
  Fd result, go;
  Shared<ChildPage> page;
  ContainerTimer timer;  // setup; then the drain at exit
  Owned<Fault> fault;    // why setup failed; only while it goes on
  CallRef create_call, start_call, delete_call;
  bool start_failed = false;  // said by the child; the caller hears of it with the exit
};

struct ContainerTable : OwnedList<Container> {
  uint32_t next_attach = 1;
};

void create_container(Shim& shim, CallRef call, std::string_view body);
void start_container(Shim& shim, CallRef call, std::string_view body);
void kill_container(Shim& shim, CallRef call, std::string_view body);
void delete_container(Shim& shim, CallRef call, std::string_view body);
void reopen_log(Shim& shim, CallRef call, std::string_view body);
void ack_exit(Shim& shim, CallRef call, std::string_view body);

// Null when there is none of that name (or it is being discarded).
Container* find_container(Shim& shim, std::string_view id);
// True when `pid` was a container's init.
bool container_exited(Shim& shim, pid_t pid, int wait_status);
// What a call that needs it to run is told. Returns false.
bool container_has_ended(const Container& container, std::string_view step, Fault& fault);
void container_log_answer(Shim& shim, const PumpMessage& message);
void container_logs_readd(Shim& shim);
// Kills all of them; returns how many still have to be reaped.
void containers_kill(Shim& shim);
int containers_alive(const Shim& shim);

// Steps that container.cc, container_exit.cc and container_log.cc share.
void container_free(Container& container);
void container_log_add(Container& container);
void container_log_close(Container& container);
void container_created_if_ready(Container& container);
void container_setup_failed(Container& container);
void container_hear(Container& container);
bool container_take_second(Container& container);
void container_send_go(Container& container);
void container_tell_exit(Container& container);

}  // namespace berth
