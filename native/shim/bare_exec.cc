#include "shim/bare_exec.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "shim/kernel.h"

namespace berth {
namespace {

constexpr char kGo = 'G';  // kSaysGo

size_t length_of(const char* text) {
  size_t size = 0;
  while (text[size] != '\0') size++;
  return size;
}

bool has_slash(const char* text) {
  for (; *text != '\0'; text++) {
    if (*text == '/') return true;
  }
  return false;
}

long address_of(const void* object) {
  return reinterpret_cast<long>(object);
}

int execve_error(const char* file, char* const* args, char* const* env) {
  return static_cast<int>(-kernel::bare(SYS_execve, address_of(file), address_of(args), address_of(env)));
}

bool try_the_next(int error) {
  return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE || error == ENODEV ||
         error == ETIMEDOUT || error == EISDIR || error == ELIBACC;
}

// `directory`/`name` in kExecPathBytes, or `name` alone where the directory is empty. False: it does not fit.
bool join(const char* directory, size_t size, const char* name, size_t name_size, char* room) {
  if (size + name_size + 2 > kExecPathBytes) return false;
  size_t at = 0;
  while (at < size) room[at] = directory[at], at++;
  if (size > 0) room[at++] = '/';
  for (size_t i = 0; i <= name_size; i++) room[at++] = name[i];
  return true;
}

// Longer than the name of any file (NAME_MAX, 255): below a directory there is none of it.
constexpr char kNoName[] =
    "________________________________________________________________________________________________________________"
    "________________________________________________________________________________________________________________"
    "________________________________";
static_assert(sizeof kNoName == 257);

// The kernel says ENOENT also for a program whose interpreter or loader is missing, and EACCES also for a directory:
// what `file` is shows in what becomes of a name below it. execve is the only call that the container's filter surely
// allows. `room` is not where `file` is.
int named_reason(const char* file, int refused, char* room) {
  if (refused != ENOENT && refused != EACCES) return refused;
  if (!join(file, length_of(file), kNoName, sizeof kNoName - 1, room)) return refused;
  char* const args[] = {room, nullptr};
  const int below = execve_error(room, args, args + 1);
  if (refused == ENOENT) return below == ENOTDIR ? ELIBACC : ENOENT;
  return below == ENOENT || below == ENAMETOOLONG ? EISDIR : EACCES;
}

[[noreturn]] void end(LaunchStep step, int error) {
  const uint32_t word = launch_word(step, error);
  kernel::bare(SYS_write, kPadResultFd, address_of(&word), sizeof word);
  for (;;) kernel::bare(SYS_exit_group, code_for_failed_execve(error));
}

// Waits with read(2). False: the shim is gone.
bool wait_for_go() {
  char word = 0;
  long n;
  do {
    n = kernel::bare(SYS_read, kPadGoFd, address_of(&word), 1);
  } while (n == -EINTR);
  return n == 1 && word == kGo;
}

}  // namespace

// Where the second begins; named by the assembler below. A group of its own comes first: until then it shares one with
// the process that made it, and with nobody else.
extern "C" [[noreturn, gnu::used]] void berth_run_from_pad(const LaunchPad* pad, long first, long second) {
  const long session = kernel::bare(SYS_setsid, 0, 0, 0, first, second);
  if (session < 0) end(LaunchStep::kSession, static_cast<int>(-session));
  if (pad->terminal) {
    const long taken = kernel::bare(SYS_ioctl, 0, TIOCSCTTY, 0, first, second);
    if (taken < 0) end(LaunchStep::kTerminal, static_cast<int>(-taken));
  }
  if (pad->waits && !wait_for_go()) kernel::bare(SYS_exit_group, 1);
  // The point of no return: from a successful execve on, everything is the container's.
  end(LaunchStep::kExecve, bare_exec(pad->args, pad->env, pad->path, pad->room));
}

int bare_exec(char* const* args, char* const* env, const char* path, char* room) {
  const char* name = args[0];
  if (name == nullptr || name[0] == '\0') return ENOENT;
  if (has_slash(name)) return named_reason(name, execve_error(name, args, env), room);
  const size_t name_size = length_of(name);
  int error = ENOENT;
  for (;;) {
    size_t size = 0;
    while (path[size] != '\0' && path[size] != ':') size++;
    if (join(path, size, name, name_size, room)) {
      const int refused = named_reason(room, execve_error(room, args, env), room + kExecPathBytes);
      if (!try_the_next(refused)) return refused;
      // One that is there and cannot be executed says more than those that are not there.
      if (error == ENOENT && (refused == EACCES || refused == ELIBACC)) error = refused;
    }
    if (path[size] == '\0') return error;
    path += size + 1;
  }
}

int code_for_failed_execve(int error) {
  if (error == ENOENT || error == ENOTDIR || error == ELIBACC) return 127;
  return error == EACCES || error == EPERM || error == ENOEXEC || error == EISDIR ? 126 : 128;
}

unsigned long pad_clone_flags() {
  return CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD;
}

long clone_from_pad(const LaunchPad& pad, std::atomic<int32_t>& number, const PassageSecret& secret) {
  const unsigned long flags = pad_clone_flags();
#if defined(__x86_64__)
  register uint64_t r10 asm("r10") = secret.words[0];
  register uint64_t r8 asm("r8") = secret.words[1];
  long result = SYS_clone;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%rbx, %%rdi\n\t"
      "mov %%r10, %%rsi\n\t"
      "mov %%r8, %%rdx\n\t"
      "call berth_run_from_pad\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(flags), "S"(pad.stack), "d"(&number), "r"(r10), "r"(r8), "b"(&pad)
      : "rcx", "r11", "cc", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = SYS_clone;
  register unsigned long x0 asm("x0") = flags;
  register char* x1 asm("x1") = pad.stack;
  register std::atomic<int32_t>* x2 asm("x2") = &number;
  register uint64_t x3 asm("x3") = secret.words[0];
  register uint64_t x4 asm("x4") = secret.words[1];
  register const LaunchPad* x19 asm("x19") = &pad;
  asm volatile(
      "svc 0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x30, xzr\n\t"
      "mov x0, x19\n\t"
      "mov x1, x3\n\t"
      "mov x2, x4\n\t"
      "bl berth_run_from_pad\n\t"
      "brk 1\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x19)
      : "memory", "cc");
  return static_cast<long>(x0);
#else
#error "how does this architecture clone?"
#endif
}

}  // namespace berth
