#include "floor/seccomp_filter.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <initializer_list>

#include "floor/check.h"

namespace floor_bench {
namespace {

// What no container without privileges is allowed, as far as it changes the shape of the filter.
constexpr const char* kRefused[] = {"acct",
                                    "add_key",
                                    "bpf",
                                    "clock_settime",
                                    "create_module",
                                    "delete_module",
                                    "finit_module",
                                    "fsconfig",
                                    "fsmount",
                                    "fsopen",
                                    "fspick",
                                    "init_module",
                                    "ioperm",
                                    "iopl",
                                    "kcmp",
                                    "kexec_load",
                                    "keyctl",
                                    "lookup_dcookie",
                                    "mbind",
                                    "mount",
                                    "move_mount",
                                    "move_pages",
                                    "nfsservctl",
                                    "open_tree",
                                    "perf_event_open",
                                    "pivot_root",
                                    "quotactl",
                                    "reboot",
                                    "request_key",
                                    "set_mempolicy",
                                    "setdomainname",
                                    "sethostname",
                                    "setns",
                                    "settimeofday",
                                    "swapoff",
                                    "swapon",
                                    "sysfs",
                                    "umount",
                                    "umount2",
                                    "unshare",
                                    "uselib",
                                    "userfaultfd",
                                    "ustat",
                                    "vhangup",
                                    "vm86",
                                    "vm86old",
                                    "clone3"};

bool refused(const char* name) {
  for (const char* one : kRefused) {
    if (strcmp(one, name) == 0) return true;
  }
  return false;
}

}  // namespace

sock_fprog compile_filter() {
  const scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (context == nullptr) fail("floor: seccomp_init");
#ifdef __x86_64__
  seccomp_arch_add(context, SCMP_ARCH_X86);
  seccomp_arch_add(context, SCMP_ARCH_X32);
#endif
  seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  constexpr int kSyscalls = 512;
  for (int number = 0; number < kSyscalls; number++) {
    char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    if (name != nullptr && !refused(name)) seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0);
    free(name);
  }
  const int file = must(memfd_create("filter", MFD_CLOEXEC), "memfd");
  if (seccomp_export_bpf(context, file) != 0) fail("floor: seccomp_export_bpf");
  seccomp_release(context);
  struct stat about;
  must(fstat(file, &about), "filter");
  const auto size = static_cast<size_t>(about.st_size);
  void* code = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (code == MAP_FAILED) fail("floor: filter");
  close(file);
  return {.len = static_cast<unsigned short>(size / sizeof(sock_filter)), .filter = static_cast<sock_filter*>(code)};
}

}  // namespace floor_bench
