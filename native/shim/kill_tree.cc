#include "shim/kill_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "shim/cgroup.h"
#include "shim/kernel.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int kWorkPerTurn = 256;           // system calls, about: a millisecond
constexpr int kWorkToKillHeld = 8;          // a process that must be held by a pidfd and looked at costs as much
constexpr int64_t kFreezeNs = 2'000 * kMs;  // then what moves is killed as it moves (somebody is in D state)
constexpr int64_t kGiveUpNs = 120'000 * kMs;
constexpr int64_t kLongestPauseNs = 50 * kMs;
constexpr int64_t kFirstPatienceNs = 200 * kMs;
constexpr int64_t kFirstPatienceUnfrozenNs = 2 * kMs;  // nothing held them: what was born meanwhile must not grow up
constexpr int64_t kLongestPatienceNs = 5'000 * kMs;
constexpr int kRefusalsAtTheEnd = 100;  // there is nobody who could wait for memory any more

enum class Freezer { kNone, kThawed, kFreezing, kFrozen };

Fd open_dir(const char* dir) {
  return Fd(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

Freezer freezer_state(const char* dir) {
  const Fd group = open_dir(dir);
  const Fd file(openat(group.get(), "freezer.state", O_RDONLY | O_CLOEXEC));
  char state[16] = {};
  if (!file || read(file.get(), state, sizeof state - 1) <= 0) return Freezer::kNone;
  if (starts_with(state, "FROZEN")) return Freezer::kFrozen;
  return starts_with(state, "FREEZING") ? Freezer::kFreezing : Freezer::kThawed;
}

void pause(TreeKill& tree) {
  tree.pause_ns = tree.pause_ns == 0 ? kMs : tree.pause_ns * 2;
  if (tree.pause_ns > kLongestPauseNs) tree.pause_ns = kLongestPauseNs;
  tree.due_ns = monotonic_ns() + tree.pause_ns;
}

void enter_stage(TreeKill& tree, KillStage stage) {
  tree.walk.stop();
  tree.walking = false;
  tree.stage = stage;
  tree.stage_ns = monotonic_ns();
  tree.pause_ns = 0;
}

// A number may have been handed on between the list and the signal. The process that has it now is held, and only then
// looked at.
void signal_held(const GroupName& group, pid_t pid, int signal) {
  const Fd held = kernel::pidfd(pid);
  if (held && group.holds(pid)) syscall(SYS_pidfd_send_signal, held.get(), signal, nullptr, 0);
}

void begin_round(TreeKill& tree) {
  const bool first = tree.rounds++ == 0;
  tree.patience_ns = first ? kFirstPatienceNs : tree.patience_ns * 2;
  if (tree.patience_ns > kLongestPatienceNs) tree.patience_ns = kLongestPatienceNs;
  tree.frozen = false;
  const Fd dir = open_dir(tree.dir.c_str());
  if (write_file_at(dir.get(), "cgroup.kill", "1")) return enter_stage(tree, KillStage::kLook);
  if (write_file_at(dir.get(), "freezer.state", "FROZEN")) return enter_stage(tree, KillStage::kFreezing);
  if (first) tree.patience_ns = kFirstPatienceUnfrozenNs;
  // What cannot be frozen must not be born faster than it is killed, where the directory is one of the pids controller.
  (void)write_file_at(dir.get(), "pids.max", "0");
  enter_stage(tree, KillStage::kKilling);
}

// Each of these is one bounded piece of work. True: the tree is over.

bool is_given_up(const TreeKill& tree) {
  if (monotonic_ns() - tree.begun_ns <= kGiveUpNs) return false;
  log_line("a cgroup does not become empty after SIGKILL");
  return true;
}

// Memory or descriptors are refused, which says nothing about who is there: the step is tried again.
bool hold_back(TreeKill& tree) {
  tree.refusals++;
  pause(tree);
  return is_given_up(tree);
}

// What is found next in the tree, from its beginning where no walk is on its way.
TreeWalk::Found walk_on(TreeKill& tree) {
  const TreeWalk::Found found = tree.walking ? tree.walk.next() : tree.walk.start(tree.dir.c_str());
  tree.walking = tree.walking || found == TreeWalk::Found::kDirectory;
  if (found == TreeWalk::Found::kEnd) tree.walking = false;
  return found;
}

bool look(TreeKill& tree) {
  for (int i = 0; i < kWorkPerTurn; i++) {
    const TreeWalk::Found found = walk_on(tree);
    if (found == TreeWalk::Found::kDirectory) continue;
    if (found == TreeWalk::Found::kRefused) return hold_back(tree);
    if (found == TreeWalk::Found::kEnd) return true;
    tree.walk.stop();
    tree.walking = false;
    if (is_given_up(tree)) return true;
    monotonic_ns() - tree.stage_ns >= tree.patience_ns ? begin_round(tree) : pause(tree);
    return false;
  }
  return false;
}

bool wait_frozen(TreeKill& tree) {
  tree.frozen = freezer_state(tree.dir.c_str()) == Freezer::kFrozen;
  if (tree.frozen || monotonic_ns() - tree.stage_ns > kFreezeNs) {
    enter_stage(tree, KillStage::kKilling);
  } else {
    pause(tree);
  }
  return false;
}

bool kill_some(TreeKill& tree) {
  for (int work = 0; work < kWorkPerTurn;) {
    const TreeWalk::Found found = walk_on(tree);
    if (found == TreeWalk::Found::kRefused) return hold_back(tree);
    if (found == TreeWalk::Found::kEnd) {
      if (tree.signal != SIGKILL) return true;
      enter_stage(tree, KillStage::kThawing);
      return false;
    }
    work += tree.frozen ? 1 : kWorkToKillHeld;
    if (found == TreeWalk::Found::kDirectory) continue;
    tree.frozen ? (void)kill(tree.walk.process(), tree.signal)
                : signal_held(tree.name, tree.walk.process(), tree.signal);
  }
  return false;
}

bool thaw_some(TreeKill& tree) {
  for (int work = 0; work < kWorkPerTurn; work++) {
    switch (walk_on(tree)) {
      case TreeWalk::Found::kRefused:
        return hold_back(tree);
      case TreeWalk::Found::kEnd:
        enter_stage(tree, KillStage::kLook);
        return false;
      case TreeWalk::Found::kDirectory:
        (void)write_file_at(tree.walk.directory(), "freezer.state", "THAWED");
        tree.walk.skip_processes();
        break;
      case TreeWalk::Found::kProcess:
        break;
    }
  }
  return false;
}

bool step(TreeKill& tree) {
  switch (tree.stage) {
    case KillStage::kFreezing:
      return wait_frozen(tree);
    case KillStage::kKilling:
      return kill_some(tree);
    case KillStage::kThawing:
      return thaw_some(tree);
    default:
      return look(tree);
  }
}

// `dir` is `above`, or below it.
bool is_within(std::string_view dir, std::string_view above) {
  return starts_with(dir, above) && (dir.size() == above.size() || dir[above.size()] == '/');
}

void finish(Shim& shim, const TreeKill& tree) {
  const Owned<TreeKill> finished = shim.kills.take(tree);
  execs_remove_leaves(shim, tree.dir.view());
  shutdown_progress(shim);
}

void arm_for_the_first_due(Shim& shim) {
  const TreeKill* first = shim.kills.first();
  for (const TreeKill* at = first; at != nullptr; at = at->next) {
    if (at->due_ns < first->due_ns) first = at;
  }
  if (first == nullptr) return;
  const int64_t left = first->due_ns - monotonic_ns();
  shim.loop.arm(shim.kills.turn, left <= 0 ? 0 : (left + kMs - 1) / kMs);
}

// One step of the tree that has waited longest.
void take_turn(Deadline& deadline) {
  Shim& shim = *static_cast<KillTable::Turn&>(deadline).shim;
  TreeKill* tree = shim.kills.first();
  for (TreeKill* at = tree; at != nullptr; at = at->next) {
    if (at->due_ns < tree->due_ns) tree = at;
  }
  if (tree == nullptr) return;
  tree->due_ns = monotonic_ns();  // the others first, unless the step says later
  if (step(*tree)) finish(shim, *tree);
  arm_for_the_first_due(shim);
}

// Where there is no memory to come back: who one look finds.
void signal_at_once(const char* dir, int signal) {
  const Fd group = open_dir(dir);
  if (signal == SIGKILL && write_file_at(group.get(), "cgroup.kill", "1")) return;
  GroupName name;
  ProcessList processes;
  if (!group || !name.of(dir) || !processes.open(group.get())) return;
  while (const pid_t pid = processes.next()) signal_held(name, pid, signal);
}

TreeKill* add_tree(Shim& shim, const char* dir, int signal) {
  Owned<TreeKill> made = Owned<TreeKill>::make();
  if (!made || !made->dir.set(dir)) {
    log_line("killing a cgroup", ENOMEM);
    signal_at_once(dir, signal);
    return nullptr;
  }
  TreeKill& tree = shim.kills.push_front(std::move(made));
  tree.signal = signal;
  tree.begun_ns = tree.stage_ns = tree.due_ns = monotonic_ns();
  (void)tree.name.of(dir);
  shim.kills.turn.shim = &shim;
  shim.kills.turn.on_expired = take_turn;
  return &tree;
}

// The kills of trees below `dir`: a thaw of the whole must not come between the list and the kill of a part.
void drop_below(KillTable& table, std::string_view dir) {
  for (TreeKill* at = table.first(); at != nullptr;) {
    TreeKill* const next = at->next;
    if (at->signal == SIGKILL && is_within(at->dir.view(), dir)) table.take(*at);
    at = next;
  }
}

}  // namespace

bool kill_tree(Shim& shim, const char* dir, int64_t patience_ms) {
  if (dir[0] == '\0') return true;
  for (TreeKill* at = shim.kills.first(); at != nullptr; at = at->next) {
    if (at->signal != SIGKILL || !is_within(dir, at->dir.view())) continue;
    if (at->rounds == 0 && patience_ms * kMs < at->patience_ns) at->patience_ns = patience_ms * kMs, at->due_ns = 0;
    arm_for_the_first_due(shim);
    return true;
  }
  drop_below(shim.kills, dir);
  TreeKill* const tree = add_tree(shim, dir, SIGKILL);
  if (tree == nullptr) return false;
  tree->patience_ns = patience_ms * kMs;
  arm_for_the_first_due(shim);
  return true;
}

bool signal_tree(Shim& shim, const char* dir, int signal) {
  if (dir[0] == '\0') return true;
  TreeKill* const tree = add_tree(shim, dir, signal);
  if (tree == nullptr) return false;
  tree->stage = KillStage::kKilling;
  arm_for_the_first_due(shim);
  return true;
}

bool kill_trees_pending(const Shim& shim) {
  return !shim.kills.empty();
}

void kill_trees_abandon(Shim& shim) {
  while (TreeKill* const tree = shim.kills.first()) {
    if (tree->signal == SIGKILL && tree->rounds > 0) {
      enter_stage(*tree, KillStage::kThawing);
      const int refusals = tree->refusals + kRefusalsAtTheEnd;
      while (tree->stage == KillStage::kThawing && tree->refusals < refusals && !thaw_some(*tree)) continue;
    }
    shim.kills.take(*tree);
  }
}

}  // namespace berth
