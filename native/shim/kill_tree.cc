#include "shim/kill_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <new>

#include "shim/cgroup.h"
#include "shim/kernel.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr int kMaxDepth = 16;
constexpr int kFreezeRounds = 20;  // how often to wait for a freezer before killing what moves
constexpr int kRoundsPerFreeze = 4;
constexpr int kMaxRounds = 1000;

int64_t pause_ms(int round) {
  return round < 10 ? 1 : round < 100 ? 5 : 50;
}

// Calls `visit` with every process id in the cgroup itself.
template <typename Visit>
void each_process(int dir, Visit visit) {
  const Fd file(openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC));
  if (!file) return;
  char text[4096];
  pid_t pid = 0;
  for (ssize_t n; (n = read(file.get(), text, sizeof text)) > 0;) {
    for (ssize_t i = 0; i < n; i++) {
      if (text[i] != '\n') {
        pid = pid * 10 + (text[i] - '0');
        continue;
      }
      if (pid > 0) visit(pid);  // 0: a process of a namespace we cannot see
      pid = 0;
    }
  }
}

// The same for the cgroup and all below it. A container may make cgroups of its own, but not without end.
template <typename Visit>
void each_process_below(int dir, int depth, Visit visit) {
  each_process(dir, visit);
  if (depth == 0) return;
  const int listed = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const entries = listed < 0 ? nullptr : fdopendir(listed);
  if (entries == nullptr) return;
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    const Fd child(openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (child) each_process_below(child.get(), depth - 1, visit);
  }
  closedir(entries);
}

bool empty_below(int dir) {
  bool empty = true;
  each_process_below(dir, kMaxDepth, [&](pid_t) { empty = false; });
  return empty;
}

enum class Freezer { kThawed, kFreezing, kFrozen };

Freezer freezer_state(int dir) {
  const Fd file(openat(dir, "freezer.state", O_RDONLY | O_CLOEXEC));
  char state[16] = {};
  if (!file || read(file.get(), state, sizeof state - 1) <= 0) return Freezer::kThawed;
  if (starts_with(state, "FROZEN")) return Freezer::kFrozen;
  return starts_with(state, "FREEZING") ? Freezer::kFreezing : Freezer::kThawed;
}

// True while the process whose number this was is still the one we opened and is in the cgroup.
bool still_in(int dir, pid_t pid) {
  bool found = false;
  each_process_below(dir, kMaxDepth, [&](pid_t other) { found |= other == pid; });
  return found;
}

KillRound kill_round_v1(int dir, int round) {
  if (empty_below(dir)) {
    write_file_at(dir, "freezer.state", "THAWED");
    return KillRound::kEmpty;
  }
  // In the rounds between, the killed get time to die: a process on its way out can be frozen once more.
  if (round % kRoundsPerFreeze == 0) write_file_at(dir, "freezer.state", "FROZEN");
  const Freezer state = freezer_state(dir);
  if (state == Freezer::kFrozen) {
    each_process_below(dir, kMaxDepth, [](pid_t pid) { kill(pid, SIGKILL); });
    write_file_at(dir, "freezer.state", "THAWED");
  } else if (state == Freezer::kFreezing && round >= kFreezeRounds) {
    // Somebody does not freeze (a process in D state): numbers may be handed on between reading and killing, so each is
    // held by a pidfd before it is looked for again.
    each_process_below(dir, kMaxDepth, [dir](pid_t pid) {
      const Fd held = kernel::pidfd(pid);
      if (held && still_in(dir, pid)) syscall(SYS_pidfd_send_signal, held.get(), SIGKILL, nullptr, 0);
    });
    write_file_at(dir, "freezer.state", "THAWED");
  }
  return KillRound::kAgain;
}

KillRound kill_round_v2(int dir) {
  if (empty_below(dir)) return KillRound::kEmpty;
  write_file_at(dir, "cgroup.kill", "1");
  return KillRound::kAgain;
}

Fd open_dir(const char* dir) {
  return Fd(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

void finish(TreeKill& tree) {
  Shim& shim = *tree.shim;
  for (TreeKill** at = &shim.tree_kills; *at != nullptr; at = &(*at)->next_tree) {
    if (*at != &tree) continue;
    *at = tree.next_tree;
    break;
  }
  free(tree.dir);
  tree.~TreeKill();
  free(&tree);
  execs_remove_leaves(shim);
  shutdown_progress(shim);
}

void next_round(Deadline& deadline) {
  auto& tree = static_cast<TreeKill&>(deadline);
  const KillRound result = kill_round(tree.dir, tree.round++);
  if (result == KillRound::kAgain && tree.round < kMaxRounds) {
    return tree.shim->loop.arm(tree, pause_ms(tree.round));
  }
  if (result == KillRound::kAgain) log_line("a cgroup does not become empty after SIGKILL");
  finish(tree);
}

}  // namespace

KillRound kill_round(const char* dir, int round) {
  const Fd fd = open_dir(dir);
  if (!fd) return KillRound::kGone;
  return cgroup_is_v2(fd.get()) ? kill_round_v2(fd.get()) : kill_round_v1(fd.get(), round);
}

void kill_tree(Shim& shim, const char* dir) {
  if (dir == nullptr || dir[0] == '\0') return;
  for (TreeKill* at = shim.tree_kills; at != nullptr; at = at->next_tree) {
    if (strcmp(at->dir, dir) == 0) return;
  }
  if (kill_round(dir, 0) != KillRound::kAgain) return;
  void* room = malloc(sizeof(TreeKill));
  if (room == nullptr) return;
  auto* tree = new (room) TreeKill();
  tree->dir = strdup(dir);
  tree->shim = &shim;
  tree->round = 1;
  tree->on_expired = next_round;
  tree->next_tree = shim.tree_kills;
  shim.tree_kills = tree;
  shim.loop.arm(*tree, 1);
}

bool kill_trees_pending(const Shim& shim) {
  return shim.tree_kills != nullptr;
}

bool signal_tree(const char* dir, int signal) {
  const Fd fd = open_dir(dir);
  if (!fd) return false;
  bool any = false;
  each_process_below(fd.get(), kMaxDepth, [&](pid_t pid) {
    const Fd held = kernel::pidfd(pid);
    if (held && still_in(fd.get(), pid)) syscall(SYS_pidfd_send_signal, held.get(), signal, nullptr, 0);
    any = true;
  });
  return any;
}

bool tree_empty(const char* dir) {
  const Fd fd = open_dir(dir);
  return !fd || empty_below(fd.get());
}

}  // namespace berth
