// What the shim and a child it has cloned share until the child's execve: one page and one socket.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "common/fd.h"
#include "common/owned.h"
#include "shim/fault.h"

namespace berth {

struct Shim;

// Where a child is. Also its name in ps, so that a stuck one can be read off.
enum class Stage : uint32_t {
  kCloned,
  kCgroup,
  kVolumes,
  kNamespaces,
  kRootfs,
  kMounts,
  kDevices,
  kMasks,
  kPivot,
  kConfine,
  kReady,
};
const char* stage_name(Stage stage);

// One page, shared: the child writes, the shim reads when the child has said something or is late.
struct ChildPage {
  std::atomic<uint32_t> stage;
  uint32_t mount_index;
  uint32_t warnings;
  std::atomic<int32_t> second;  // the child's child that took its place (user_namespace.h, launch_pad.h); 0: none
  std::atomic<bool> failed;     // `fault` says why
  char touching[1024];          // the path the child works on: what UNRESPONSIVE names
  Fault fault;
  char warning[8][120];
};
static_assert(sizeof(ChildPage) <= 4096);

void enter_stage(ChildPage& page, Stage stage);
void touching(ChildPage& page, std::string_view path);
void warn(ChildPage& page, std::string_view what, int64_t value, int error);

// What a child says on its socket; details are in the page. An end of file after kGo means that execve has succeeded.
constexpr char kSaysReady = 'R';
constexpr char kSaysFailed = 'F';
constexpr char kSaysGo = 'G';
constexpr char kSaysTerminal = 'T';  // with its master
constexpr char kSaysTable = 'M';     // with a mount namespace that has a procfs of its pid namespace (pause.h)

bool make_sync(Fd& ours, Fd& childs);
bool make_pipe(Fd& reads, Fd& writes);
// What a child has said: one byte, with the descriptor that came with it. 0: it has closed its end; -1: nothing.
int receive_word(int sync, Fd& passed);
// By a child, with a descriptor.
bool send_word(char word, int fd);

// Forks with clone3: 0 in the child.
pid_t clone_child(uint64_t flags);

// The child's first act: descriptors 0-2 are `stdio`, the others have the numbers below (if >= 0), and nothing else
// stays open; signal mask empty. Where `stdio` is -1 or a null device it becomes the one `null` refers to
// (null_device.h).
struct ChildFds {
  int stdio[3] = {-1, -1, -1};
  int sync = -1;
  int extra = -1;
  int null = -1;
  int result = -1, go = -1;  // for the second of a launch pad
  int pids = -1;             // a pidfd of somebody in the pid namespace that the second is born in
  int table = -1;            // a mount namespace to begin with instead of pause's
};
constexpr int kSyncFd = 3;
constexpr int kExtraFd = 4;
constexpr int kResultFd = 5;
constexpr int kGoFd = 6;
constexpr int kPidsFd = 7;
constexpr int kTableFd = 8;
bool take_fds_only(const ChildFds& fds, Fault& fault);

// The process a child has been replaced by, once; 0: none.
pid_t second_of(const Shared<ChildPage>& page);
// Whether that is this one: it may die, and be reaped, before the first.
bool is_second(const Shared<ChildPage>& page, pid_t pid);

// Ends a child whose setup failed: the fault is in the page.
[[noreturn]] void child_failed(ChildPage& page, int exit_code = 1);
// The same for one without a socket, whose end is enough.
[[noreturn]] void give_up(ChildPage& page);

}  // namespace berth
