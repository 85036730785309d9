#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

// Without the library's farewells, which sanitizers extend by calls that the filter refuses.
void leave(int status) {
  (void)syscall(SYS_exit_group, status);
}

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
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, SYS_getpid)) == (SECCOMP_RET_ERRNO | 1));
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

TEST("a call younger than the profile does not exist, in each architecture by its own numbers") {
  SeccompProfile both = profile();
  both.architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  Result<std::vector<uint8_t>> bpf = compile_seccomp(both);
  const int newest = SYS_personality;
  CHECK(bpf && judge(*bpf, call(AUDIT_ARCH_X86_64, newest + 1)) == (SECCOMP_RET_ERRNO | ENOSYS));
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, newest - 1)) == (SECCOMP_RET_ERRNO | 1));
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, newest, 0)) == SECCOMP_RET_ALLOW);
  CHECK(judge(*bpf, call(AUDIT_ARCH_I386, 136)) == SECCOMP_RET_ALLOW);
  CHECK(judge(*bpf, call(AUDIT_ARCH_I386, 137)) == (SECCOMP_RET_ERRNO | ENOSYS));
  CHECK(judge(*bpf, call(AUDIT_ARCH_I386, 135)) == (SECCOMP_RET_ERRNO | 1));
  // x32 shares x86_64's architecture and is judged by the filter itself.
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, 0x40000000 | SYS_read)) == SECCOMP_RET_ALLOW);
  CHECK(judge(*bpf, call(AUDIT_ARCH_X86_64, 0x40000000 | 500)) == (SECCOMP_RET_ERRNO | 1));
  both.default_action = SCMP_ACT_KILL_PROCESS;
  bpf = compile_seccomp(both);
  CHECK(bpf && judge(*bpf, call(AUDIT_ARCH_X86_64, newest + 1)) == SECCOMP_RET_KILL_PROCESS);
}

TEST("the kernel takes the filter and judges as we do") {
  SeccompProfile made = profile();
  made.rules.push_back({{"exit_group"}, SCMP_ACT_ALLOW, {}});
  Result<std::vector<uint8_t>> bpf = compile_seccomp(made);
  CHECK(bpf);
  const pid_t child = fork();
  if (child == 0) {
    const sock_fprog program{static_cast<unsigned short>(bpf->size() / sizeof(sock_filter)),
                             reinterpret_cast<sock_filter*>(bpf->data())};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) leave(1);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) leave(2);
    if (syscall(SYS_getppid) != -1 || errno != EPERM) leave(3);
    if (syscall(SYS_personality, 0) < 0) leave(4);
    if (syscall(462 /* mseal */, 0, 0, 0) != -1 || errno != ENOSYS) leave(5);
    leave(0);
  }
  int status = -1;
  (void)waitpid(child, &status, 0);
  CHECK(status == 0);
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
