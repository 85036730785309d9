#include "addon/newer_syscalls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

namespace berth::addon {
namespace {

// Set in the numbers of x32 calls, which share x86_64's architecture: they are none of "newer".
constexpr uint32_t x32_bit = 0x40000000;

constexpr sock_filter statement(uint16_t code, uint32_t value) {
  return {code, 0, 0, value};
}
constexpr sock_filter jump(uint16_t code, uint32_t value, uint8_t holds, uint8_t fails) {
  return {code, holds, fails, value};
}

}  // namespace

//     load architecture
//     for each:  is it this one? ─no─▶ next
//                load number; x32? ─yes─▶ filter; newer? ─yes─▶ ENOSYS; ▶ filter
//     filter…
std::vector<sock_filter> refuse_newer(const std::vector<NewestSyscall>& newest) {
  constexpr uint32_t block = 6;
  std::vector<sock_filter> program;
  program.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
  for (size_t i = 0; i < newest.size(); ++i) {
    const auto rest = static_cast<uint32_t>(newest.size() - i - 1) * block;
    program.push_back(jump(BPF_JMP | BPF_JEQ | BPF_K, newest[i].architecture, 0, block - 1));
    program.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    const uint32_t never = 0xffffffff;
    const uint32_t other = newest[i].architecture == AUDIT_ARCH_X86_64 ? x32_bit : never;
    program.push_back(jump(BPF_JMP | BPF_JGE | BPF_K, other, 2, 0));
    program.push_back(jump(BPF_JMP | BPF_JGT | BPF_K, newest[i].number, 0, 1));
    program.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    program.push_back(statement(BPF_JMP | BPF_JA, rest));
  }
  return program;
}

}  // namespace berth::addon
