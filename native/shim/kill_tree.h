// Ends every process of a cgroup and of those below it.
#pragma once

#include <cstdint>

#include "common/fd.h"
#include "common/text.h"
#include "shim/loop.h"

namespace berth {

struct Shim;

// One round; call it again until kEmpty. v2: cgroup.kill. v1: freeze, so that nobody can fork away or hand its number
// on, SIGKILL everybody, thaw, so that they die.
enum class KillRound { kEmpty, kAgain, kGone };
KillRound kill_round(const char* dir, int round);

struct TreeKill : Deadline {
  Shim* shim = nullptr;
  char* dir = nullptr;
  int round = 0;
  TreeKill* next_tree = nullptr;
};

// Rounds on a timer until the tree is empty, with nobody waiting.
void kill_tree(Shim& shim, const char* dir);
bool kill_trees_pending(const Shim& shim);

// Sends a signal to everybody once. False when there was nobody.
bool signal_tree(const char* dir, int signal);
bool tree_empty(const char* dir);

}  // namespace berth
