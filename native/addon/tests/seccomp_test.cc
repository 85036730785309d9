#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>

#include <cstring>

#include "addon/seccomp_filter.h"
#include "addon/tests/check.h"

using namespace berth::addon;

namespace {

// A classic BPF machine with what libseccomp emits, so that a filter is judged without being loaded.
uint32_t judge(const std::vector<uint8_t>& bytes, const seccomp_data& data) {
  std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
  memcpy(program.data(), bytes.data(), bytes.size());
  uint32_t accumulator = 0;
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& instruction = program[at];
    const auto jump = [&](bool holds) { at += holds ? instruction.jt : instruction.jf; };
    switch (instruction.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        memcpy(&accumulator, reinterpret_cast<const char*>(&data) + instruction.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= instruction.k;
        break;
      case BPF_JMP | BPF_JA:
        at += instruction.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump(accumulator == instruction.k);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        jump(accumulator > instruction.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump(accumulator >= instruction.k);
        break;
      case BPF_RET | BPF_K:
        return instruction.k;
      default:
        return 0xdeadbeef;
    }
  }
  return 0xdeadbeef;
}

seccomp_data call(uint32_t arch, int number, uint64_t first = 0) {
  seccomp_data data{};
  data.arch = arch;
  data.nr = number;
  data.args[0] = first;
  return data;
}

const SeccompArgument personality_zero{0, SCMP_CMP_EQ, 0, 0};
const SeccompArgument personality_eight{0, SCMP_CMP_EQ, 8, 0};

SeccompProfile profile() {
  SeccompProfile made;
  made.default_action = SCMP_ACT_ERRNO(1);
  made.rules.push_back({{"read", "write", "no_such_syscall_ever"}, SCMP_ACT_ALLOW, {}});
  made.rules.push_back({{"personality"}, SCMP_ACT_ALLOW, {personality_zero}});
  return made;
}

}  // namespace

#if defined(__x86_64__)
TEST("a compiled filter allows what is listed and refuses the rest; unknown names are skipped") {
  Result<std::vector<uint8_t>> bpf = compile_seccomp(profile());
  CHECK(bpf && bpf->size() % sizeof(sock_filter) == 0);
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, SYS_read)) == SECCOMP_RET_ALLOW);
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, SYS_mount)) == (SECCOMP_RET_ERRNO | 1));
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, SYS_personality, 0)) == SECCOMP_RET_ALLOW);
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, SYS_personality, 3)) == (SECCOMP_RET_ERRNO | 1));
  CHECK(judge(*bpf, call(AUDIT_ARCH_I386, 3)) != SECCOMP_RET_ALLOW);
}

TEST("other architectures count when they are named") {
  SeccompProfile both = profile();
  both.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  Result<std::vector<uint8_t>> bpf = compile_seccomp(both);
  CHECK(bpf && judge(*bpf, call(AUDIT_ARCH_I386, 3)) == SECCOMP_RET_ALLOW);
  both.architectures = {"SCMP_ARCH_ABACUS"};
  CHECK(compile_seccomp(both).failure().error == EINVAL);
}

TEST("several comparisons of one argument are alternatives") {
  SeccompProfile made = profile();
  made.rules.back().arguments = {personality_zero, personality_eight};
  Result<std::vector<uint8_t>> bpf = compile_seccomp(made);
  CHECK(bpf && judge(*bpf, call(AUDIT_ARCH_X86_64, SYS_personality, 0)) == SECCOMP_RET_ALLOW);
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, SYS_personality, 8)) == SECCOMP_RET_ALLOW);
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, SYS_personality, 9)) == (SECCOMP_RET_ERRNO | 1));
}
#endif

TEST("a rule that repeats the default is no error, an unknown default is") {
  SeccompProfile made = profile();
  made.rules.push_back({{"mount"}, made.default_action, {}});
  CHECK(compile_seccomp(made));
  made.default_action = 0x12345678;
  CHECK(!compile_seccomp(made));
}
