// Thin names for system calls the C library has no wrapper for, or whose wrapper does more than the call.
#pragma once

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "common/fd.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace berth::kernel {

inline Fd open_tree(int dir, const char* path, unsigned flags) {
  return Fd(static_cast<int>(syscall(SYS_open_tree, dir, path, flags | OPEN_TREE_CLOEXEC)));
}

// The whole of a detached tree onto the object `to` refers to: no path is walked, so nothing can be swapped below us.
inline bool attach(int tree, int to) {
  return syscall(SYS_move_mount, tree, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

inline bool attach_at(int tree, const char* path) {
  return syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

inline bool set_mount(int tree, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation) {
  mount_attr attr = {};
  attr.attr_set = set;
  attr.attr_clr = clear;
  attr.propagation = propagation;
  return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof attr) == 0;
}

inline Fd open_how(int dir, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {};
  how.flags = flags;
  how.mode = mode;
  how.resolve = resolve;
  return Fd(static_cast<int>(syscall(SYS_openat2, dir, path, &how, sizeof how)));
}

inline Fd fs_open(const char* type) {
  return Fd(static_cast<int>(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)));
}
inline bool fs_set(int fs, const char* key, const char* value) {
  return syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0) == 0;
}
inline bool fs_flag(int fs, const char* key) {
  return syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, key, nullptr, 0) == 0;
}
inline bool fs_create(int fs) {
  return syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
}
inline Fd fs_mount(int fs, unsigned attributes) {
  return Fd(static_cast<int>(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes)));
}

// A file system of the kernel's own, about whoever calls: "proc", "sysfs".
inline Fd fs_view(const char* type) {
  const Fd fs = fs_open(type);
  // Programs look for the name that mount(8) would give it in /proc/mounts.
  if (!fs || !fs_set(fs.get(), "source", type) || !fs_create(fs.get())) return Fd();
  return fs_mount(fs.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

inline Fd pidfd(pid_t pid) {
  return Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}
inline bool pivot_here() {
  return syscall(SYS_pivot_root, ".", ".") == 0;
}
inline bool close_fds(unsigned first, unsigned last, unsigned flags) {
  return syscall(SYS_close_range, first, last, flags) == 0;
}

// A system call that touches no memory at all, not even errno: for who has given his back. -errno when it fails.
[[gnu::always_inline]] inline long bare(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
#if defined(__x86_64__)
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  long result = number;
  asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
#else
#error "how does this architecture call its kernel?"
#endif
}

}  // namespace berth::kernel
