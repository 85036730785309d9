#include "shim/seccomp_pause.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "shim/seccomp_arch.h"

namespace berth {
namespace {

constexpr sock_filter load(unsigned offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
constexpr sock_filter answer(unsigned action) {
  return BPF_STMT(BPF_RET | BPF_K, action);
}
constexpr sock_filter allow_if(unsigned number, unsigned char to_allow) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, to_allow, 0);
}

// Other architectures' numbers are refused before any is compared. A refused call fails instead of killing: pause is
// pid 1 of the pod, and its death would be everybody's.
constexpr sock_filter kCode[] = {
    load(offsetof(seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSeccompArch, 0, 6),
    load(offsetof(seccomp_data, nr)),
    allow_if(SYS_rt_sigsuspend, 5),
    allow_if(SYS_write, 4),
    allow_if(SYS_close, 3),
    allow_if(SYS_restart_syscall, 2),
    allow_if(SYS_exit_group, 1),
    answer(SECCOMP_RET_ERRNO | EPERM),
    answer(SECCOMP_RET_ALLOW),
};

}  // namespace

// Constant data: it must be there when everything else of pause has been given back.
constinit const sock_fprog kPauseFilter = {sizeof kCode / sizeof kCode[0], const_cast<sock_filter*>(kCode)};

}  // namespace berth
