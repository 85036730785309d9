// The seccomp filter: a list of what is allowed, death for the rest. Short enough to be read as a whole.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "unpack/sandbox.h"

namespace berth::unpack {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "no system call list for this architecture"
#endif

// Most frequent first: the kernel caches the answer for calls whose arguments are not looked at.
constexpr int kAllowed[] = {SYS_read, SYS_pwrite64, SYS_write, SYS_futex, SYS_pread64, SYS_openat, SYS_close,
                            SYS_fchown, SYS_utimensat, SYS_openat2, SYS_fchmod, SYS_mkdirat, SYS_symlinkat, SYS_linkat,
                            SYS_fchownat, SYS_newfstatat, SYS_fstat, SYS_fsetxattr, SYS_mknodat, SYS_unlinkat,
                            SYS_readlinkat, SYS_ftruncate, SYS_fchmodat, SYS_getdents64, SYS_lseek, SYS_fcntl,
                            SYS_statx,
                            // memory, threads and the end
                            SYS_munmap, SYS_mremap, SYS_brk, SYS_madvise, SYS_exit, SYS_exit_group, SYS_restart_syscall,
                            SYS_sched_yield, SYS_rseq, SYS_set_robust_list, SYS_rt_sigprocmask, SYS_rt_sigaction,
                            SYS_rt_sigreturn, SYS_gettid, SYS_getpid, SYS_tgkill, SYS_clock_gettime, SYS_getrandom};

constexpr sock_filter load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}
constexpr sock_filter give(uint32_t action) {
  return BPF_STMT(BPF_RET | BPF_K, action);
}

// Low half of argument 2, where mmap and mprotect have the protection.
constexpr size_t kProtection = offsetof(seccomp_data, args) + 2 * sizeof(uint64_t);

std::vector<sock_filter> build() {
  std::vector<sock_filter> program = {
      load(offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      give(SECCOMP_RET_KILL_PROCESS),
      load(offsetof(seccomp_data, nr)),
  };
  for (const int number : kAllowed) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
    program.push_back(give(SECCOMP_RET_ALLOW));
  }
  // Memory, but none that can run: a library found in the layer cannot be loaded either.
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 2, 0));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0));
  program.push_back(give(SECCOMP_RET_KILL_PROCESS));
  program.push_back(load(kProtection));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
  program.push_back(give(SECCOMP_RET_ERRNO | EACCES));
  program.push_back(give(SECCOMP_RET_ALLOW));
  return program;
}

}  // namespace

bool confine_system_calls(Failure* failure) {
  std::vector<sock_filter> program = build();
  const sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0) {
    return failure->set_errno("load the system call filter");
  }
  return true;
}

}  // namespace berth::unpack
