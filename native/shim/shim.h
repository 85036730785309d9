// Everything one shim holds: one pod. Lives on main's stack and is handed by reference; there are no mutable globals.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "common/fd.h"
#include "shim/connection.h"
#include "shim/container.h"
#include "shim/exec.h"
#include "shim/kill_tree.h"
#include "shim/loop.h"
#include "shim/pod.h"
#include "shim/pump_client.h"

namespace berth {

struct Signals : Watch {
  struct Rest : Deadline {
    Shim* shim = nullptr;
  };
  Rest rest;  // of the ended, where there are many
  Shim* shim = nullptr;
  Fd fd;
};

struct Shim {
  const char* pod_id = "";
  Fd pod_dir;        // O_PATH: <run>/pods/<id>
  Fd net_namespace;  // handed over at spawn; closed once pause holds it
  Loop loop;
  Signals signals;
  Listener listener;
  Pod pod;
  PumpClient pump;
  ContainerTable containers;
  ExecTable execs;
  KillTable kills;
};

// One line on the inherited stderr.
void log_line(std::string_view what, int error = 0);

}  // namespace berth
