#include "shim/seccomp_passage.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/filter_length.h"
#include "common/text.h"
#include "shim/seccomp_arch.h"

namespace berth {
namespace {

constexpr unsigned argument(int index) {
  return offsetof(seccomp_data, args) + 8 * static_cast<unsigned>(index);
}
constexpr sock_filter load(unsigned offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
constexpr sock_filter compare(unsigned value, unsigned char skip_if, unsigned char skip_else) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skip_if, skip_else);
}

// The last instruction makes the accumulator what a filter may expect at its start, in a form that the kernel's cache
// of always allowed calls understands. Calls that are not named here cost three comparisons.
void write_passage(sock_filter* code, bool terminal, const PassageSecret& secret) {
  const auto low = [](uint64_t word) { return static_cast<unsigned>(word); };
  const auto high = [](uint64_t word) { return static_cast<unsigned>(word >> 32); };
  const auto flags = static_cast<unsigned>(pad_clone_flags());
  const uint64_t first = secret.words[0], second = secret.words[1];
  const sock_filter passage[] = {
      load(offsetof(seccomp_data, arch)),
      compare(kSeccompArch, 0, 18),
      load(offsetof(seccomp_data, nr)),
      compare(SYS_clone, 3, 0),
      compare(SYS_setsid, 6, 0),
      compare(terminal ? unsigned{SYS_ioctl} : ~0u, 3, 0),
      BPF_STMT(BPF_JMP | BPF_JA | BPF_K, 13),
      load(argument(0)),  // of clone
      compare(flags, 2, 11),
      load(argument(1)),  // of ioctl
      compare(TIOCSCTTY, 0, 9),
      load(argument(3)),
      compare(low(first), 0, 7),
      load(argument(3) + 4),
      compare(high(first), 0, 5),
      load(argument(4)),
      compare(low(second), 0, 3),
      load(argument(4) + 4),
      compare(high(second), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0),
  };
  static_assert(sizeof passage / sizeof passage[0] == kPassageLength);
  memcpy(code, passage, sizeof passage);
}

}  // namespace

static_assert(kFilterInstructions + kPassageLength == BPF_MAXINSNS);

bool plain_filter(std::string_view bytes, unsigned flags, Filter& filter, Fault& fault) {
  const size_t count = bytes.size() / sizeof(sock_filter);
  if (bytes.size() % sizeof(sock_filter) != 0 || count > kFilterInstructions) {
    Text<80> why("not a list of instructions, or more than ");
    why.add_number(kFilterInstructions);
    return fault.refuse(FaultKind::kBadMessage, "seccomp", "", why.view());
  }
  filter = {.code = reinterpret_cast<const sock_filter*>(bytes.data()), .count = count, .flags = flags};
  return true;
}

bool filter_with_passage(std::string_view bytes, unsigned flags, bool terminal, Filter& filter, PassageSecret& secret,
                         Fault& fault) {
  if (!plain_filter(bytes, flags, filter, fault)) return false;
  if (filter.count == 0) return true;
  if (getrandom(&secret, sizeof secret, 0) != sizeof secret) return fault.kernel("seccomp", "getrandom", errno);
  OwnedArray<sock_filter> code;
  if (!code.make(kPassageLength + filter.count)) return fault.kernel("seccomp", "", ENOMEM);
  write_passage(code.data(), terminal, secret);
  memcpy(code.data() + kPassageLength, filter.code, bytes.size());
  filter = {.code = code.data(), .count = code.size(), .flags = flags, .own = std::move(code)};
  return true;
}

bool load_filter(const Filter& filter, Fault& fault) {
  if (filter.count == 0) return true;
  const sock_fprog program = {static_cast<unsigned short>(filter.count), const_cast<sock_filter*>(filter.code)};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program) == 0) return true;
  return fault.kernel("seccomp", "", errno);
}

}  // namespace berth
