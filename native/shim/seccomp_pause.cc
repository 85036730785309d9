#include "shim/seccomp_pause.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth {
namespace {

#if defined(__x86_64__)
constexpr unsigned kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArch = AUDIT_ARCH_AARCH64;
#else
#error "name this architecture's audit number"
#endif

constexpr sock_filter load(unsigned offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
constexpr sock_filter answer(unsigned action) {
  return BPF_STMT(BPF_RET | BPF_K, action);
}
constexpr sock_filter allow_if(unsigned number, unsigned char to_allow) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, to_allow, 0);
}

}  // namespace

bool confine_pause() {
  // Other architectures' numbers are refused before any is compared. A refused call fails instead of killing: pause is
  // pid 1 of the pod, and its death would be everybody's.
  sock_filter code[] = {
      load(offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArch, 0, 6),
      load(offsetof(seccomp_data, nr)),
      allow_if(SYS_rt_sigsuspend, 5),
      allow_if(SYS_write, 4),
      allow_if(SYS_close, 3),
      allow_if(SYS_restart_syscall, 2),
      allow_if(SYS_exit_group, 1),
      answer(SECCOMP_RET_ERRNO | EPERM),
      answer(SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof code / sizeof code[0], code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

}  // namespace berth
