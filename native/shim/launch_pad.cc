#include "shim/launch_pad.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <unistd.h>

#include "common/memory.h"
#include "shim/kernel.h"

extern "C" char __init_array_start[];  // by the linker: in the first page of writable data

namespace berth {
namespace {

constexpr size_t kStackPages = 4;
constexpr long kRseqBytes = 32;

char** copy_vector(const OwnedStrings& from, char**& pointers, char*& text) {
  char** const start = pointers;
  for (size_t i = 0; i < from.size(); i++) {
    const size_t size = strlen(from.items()[i]) + 1;
    memcpy(text, from.items()[i], size);
    *pointers++ = text;
    text += size;
  }
  *pointers++ = nullptr;
  return start;
}

size_t text_size(const OwnedStrings& vector) {
  size_t size = 0;
  for (size_t i = 0; i < vector.size(); i++) size += strlen(vector.items()[i]) + 1;
  return size;
}

// All mappings in a range, however much of it is not mapped (ENOMEM) and up to what the kernel itself has sealed
// (EPERM: the vdso, above which there is nothing but the stack).
bool keep_from_children(uintptr_t from, uintptr_t to) {
  return madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTFORK) == 0 || errno == ENOMEM || errno == EPERM;
}

}  // namespace

LaunchPad* pad_make(const Command& command, bool terminal, bool waits, Pages& room, Fault& fault) {
  const size_t pointers = (command.args.size() + command.env.size() + 2) * sizeof(char*);
  const size_t text = text_size(command.args) + text_size(command.env);
  const size_t before = sizeof(LaunchPad) + pointers + text + kExecRoom;
  const size_t size = page_end(before) + kStackPages * memory_page();
  if (!room.make(size)) return fault.kernel("mmap", "", errno), nullptr;
  auto* const pad = reinterpret_cast<LaunchPad*>(room.data());
  char** next_pointer = reinterpret_cast<char**>(pad + 1);
  char* next_text = reinterpret_cast<char*>(next_pointer) + pointers;
  pad->size = size;
  pad->args = copy_vector(command.args, next_pointer, next_text);
  pad->env = copy_vector(command.env, next_pointer, next_text);
  pad->path = search_path(pad->env);
  pad->room = next_text;
  pad->stack = room.data() + size;
  pad->waits = waits;
  pad->terminal = terminal;
  return pad;
}

bool pad_seal(const LaunchPad& pad, Fault& fault) {
  if (dup3(kResultFd, kPadResultFd, O_CLOEXEC) < 0 || (pad.waits && dup3(kGoFd, kPadGoFd, O_CLOEXEC) < 0) ||
      !kernel::close_fds(pad.waits ? kPadGoFd + 1 : kPadGoFd, ~0u, 0)) {
    return fault.kernel("descriptors", "", errno);
  }
  // The kernel would write into the second's thread block, which it does not get.
  kernel::bare(SYS_rseq, reinterpret_cast<long>(__builtin_thread_pointer()) + __rseq_offset, kRseqBytes,
               RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
  const auto start = reinterpret_cast<uintptr_t>(&pad);
  const uintptr_t data = page_start(reinterpret_cast<uintptr_t>(__init_array_start));
  const uintptr_t arguments = arguments_page();
  const bool kept = keep_from_children(data, start) && keep_from_children(start + pad.size, page_start(PTRDIFF_MAX)) &&
                    keep_from_children(arguments - kStackReach, arguments + memory_page());
  return kept ? true : fault.kernel("madvise", "", errno);
}

void pad_launch(const LaunchPad& pad, ChildPage& page, const PassageSecret& secret, const char* name) {
  page.stage.store(static_cast<uint32_t>(Stage::kReady), std::memory_order_release);
  page.fault.start("execve", name, 0);
  const long pid = clone_from_pad(pad, page.second, secret);
  // Its end is the execve's only when it is ours no more: earlier than by the exit, where the filter allows that.
  if (pid > 0) kernel::bare(SYS_close, kPadResultFd);
  if (pid > 0) _exit(0);
  page.fault.kernel("clone", "", static_cast<int>(-pid));
  if (pid == -EAGAIN) copy_text(page.fault.message, sizeof page.fault.message, "the container's limit of processes");
  give_up(page);
}

Launched hear_launch(int result, ChildPage& page) {
  if (page.failed.load(std::memory_order_acquire)) return Launched::kFailed;
  uint32_t word = 0;
  const ssize_t n = read(result, &word, sizeof word);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return Launched::kNothing;
  if (n <= 0) return Launched::kRuns;
  const int error = n == sizeof word ? static_cast<int>(word & 0xffff) : EPROTO;
  if (word == launch_word(LaunchStep::kSession, error)) page.fault.kernel("setsid", "", error);
  if (word == launch_word(LaunchStep::kTerminal, error)) page.fault.kernel("terminal", "TIOCSCTTY", error);
  page.fault.error = error;
  return Launched::kFailed;
}

}  // namespace berth
