// Ends every process of a cgroup and of those below it, in bounded turns of the loop.
//
//   kLook ── empty ──▶ over
//     │ somebody is there, and the killed have had their time
//     ▼
//   kFreezing ──▶ kKilling ──▶ kThawing ──▶ kLook          (v1; without a freezer: kKilling ──▶ kLook)
//   cgroup.kill ──────────────────────────▶ kLook          (v2)
//
// Frozen, nobody can fork away or hand its number on. Every round ends with the thaw, also of what the container has
// frozen itself, so that a tree that cannot be ended (a process in D state) is not left frozen. What cannot be looked
// at for want of memory or descriptors counts as inhabited, and is looked at again.
#pragma once

#include <cstdint>

#include "common/group_name.h"
#include "common/owned.h"
#include "shim/loop.h"
#include "shim/tree_walk.h"

namespace berth {

struct Shim;

enum class KillStage { kLook, kFreezing, kKilling, kThawing };

struct TreeKill {
  TreeKill* next = nullptr;
  OwnedText dir;
  int signal = 0;  // SIGKILL: until nobody is left; else everybody is told once
  KillStage stage = KillStage::kLook;
  bool walking = false;
  bool frozen = false;  // all of it: numbers stay whose they are
  int rounds = 0;
  int refusals = 0;  // steps that the kernel had no memory or no descriptor for
  int64_t begun_ns = 0;
  int64_t due_ns = 0;       // when to take the next step
  int64_t stage_ns = 0;     // since when it freezes, or dies
  int64_t patience_ns = 0;  // how long the killed may take before the next round
  int64_t pause_ns = 0;
  TreeWalk walk;
  GroupName name;
};

// The trees that are being ended take turns: one bounded piece of work for each turn of the loop.
struct KillTable : OwnedList<TreeKill> {
  struct Turn : Deadline {
    Shim* shim = nullptr;
  };
  Turn turn;
};

// With nobody waiting. A tree that is below one being ended is part of that. `patience_ms`: how long its processes get
// to die by themselves, where the kernel is ending them already. False: there is no memory to see to its end, and only
// who was found in the group itself has been told.
bool kill_tree(Shim& shim, const char* dir, int64_t patience_ms = 0);
// Sends a signal to everybody once. False: the same.
bool signal_tree(Shim& shim, const char* dir, int signal);
bool kill_trees_pending(const Shim& shim);
// For who ends before they do: nothing is left frozen.
void kill_trees_abandon(Shim& shim);

}  // namespace berth
