#include "floor/container.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>

#include "floor/check.h"
#include "floor/pod.h"

namespace floor_bench {
namespace {

constexpr unsigned long kSafe = MS_NOSUID | MS_NODEV | MS_NOEXEC;

void join(int fd, const char* kind) {
  must(setns(fd, 0), kind);
  close(fd);
}

void mount_root(const ContainerPlan& plan) {
  must(mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), "slave mounts");
  must(chdir(plan.directory), plan.directory);
  must(mount("overlay", "merged", "overlay", 0, "lowerdir=layer,upperdir=upper,workdir=work"), "overlay");
  must(chdir("merged"), "merged");
}

void make_dev() {
  struct Node {
    const char* path;
    unsigned major, minor;
  };
  constexpr Node kNodes[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
                             {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
  must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"), "dev");
  for (const Node& node : kNodes) must(mknod(node.path, S_IFCHR | 0666, makedev(node.major, node.minor)), node.path);
  must(symlink("/proc/self/fd", "dev/fd"), "dev/fd");
  must(symlink("/proc/self/fd/0", "dev/stdin"), "dev/stdin");
  must(symlink("/proc/self/fd/1", "dev/stdout"), "dev/stdout");
  must(symlink("/proc/self/fd/2", "dev/stderr"), "dev/stderr");
  must(symlink("pts/ptmx", "dev/ptmx"), "dev/ptmx");
  for (const char* directory : {"dev/pts", "dev/mqueue", "dev/shm"}) must(mkdir(directory, 0755), directory);
  must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"), "pts");
  must(mount("mqueue", "dev/mqueue", "mqueue", kSafe, nullptr), "mqueue");
  must(mount("shm", "dev/shm", "tmpfs", kSafe, "mode=1777,size=65536k"), "shm");
}

void mount_kernel_views(const ContainerPlan& plan) {
  must(mount("proc", "proc", "proc", kSafe, nullptr), "proc");
  make_dev();
  must(mount("sysfs", "sys", "sysfs", kSafe | MS_RDONLY, nullptr), "sysfs");
  must(mount("cgroup", "sys/fs/cgroup", "tmpfs", kSafe, "mode=755"), "cgroup");
  for (int i = 0; i < plan.hierarchies->count; i++) {
    const char* name = plan.hierarchies->names[i];
    const Path target("sys/fs/cgroup/%s", name);
    const Path source("/sys/fs/cgroup/%s/%s", name, plan.group);
    must(mkdir(target, 0755), target);
    must(mount(source, target, nullptr, MS_BIND, nullptr), target);
    must(mount(nullptr, target, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | kSafe, nullptr), target);
  }
}

void hide_paths() {
  for (const char* path : {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"}) {
    if (mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) != 0) continue;
    must(mount(nullptr, path, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | kSafe, nullptr), path);
  }
  for (const char* path : {"proc/interrupts", "proc/kcore", "proc/keys", "proc/timer_list", "proc/sched_debug"}) {
    if (mount("dev/null", path, nullptr, MS_BIND, nullptr) != 0 && errno != ENOENT) fail("floor: mask %s", path);
  }
  for (const char* path : {"proc/acpi", "proc/scsi", "sys/firmware"}) {
    if (mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0") != 0 && errno != ENOENT) fail("floor: mask %s", path);
  }
}

void confine(const sock_fprog& filter) {
  // The fourteen capabilities a container has without asking.
  constexpr uint32_t kUsual = 0xa80425fb;
  must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
  for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++) {
    const bool keep = capability < 32 && (kUsual >> capability & 1) != 0;
    if (!keep && prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EINVAL) fail("floor: PR_CAPBSET_DROP");
  }
  must(setgroups(0, nullptr), "setgroups");
  must(setresgid(0, 0, 0), "setresgid");
  must(setresuid(0, 0, 0), "setresuid");
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct sets[2] = {{kUsual, kUsual, 0}, {0, 0, 0}};
  must(syscall(SYS_capset, &header, sets), "capset");
}

[[noreturn]] void run_container(const ContainerPlan& plan, int channel) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  enter_group(*plan.hierarchies, plan.group);
  must(unshare(CLONE_NEWCGROUP), "cgroup namespace");
  setsid();
  mount_root(plan);
  mount_kernel_views(plan);
  hide_paths();
  must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(umount2(".", MNT_DETACH), "old root");
  must(chdir("/"), "/");
  confine(plan.filter);
  must(write(channel, "r", 1), "container's channel");
  char word;
  must(read(channel, &word, 1), "container's channel");
  const char* const arguments[] = {"/bin/sleep", "1000000", nullptr};
  const char* const environment[] = {"PATH=/bin", nullptr};
  execve(arguments[0], const_cast<char**>(arguments), const_cast<char**>(environment));
  fail("floor: execve %s", arguments[0]);
}

}  // namespace

Container create_container(const ContainerPlan& plan) {
  int channel[2];
  must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), "socketpair");
  const int ipc = open_namespace(plan.pod, "ipc");
  const int uts = open_namespace(plan.pod, "uts");
  const int net = plan.own_network ? open_namespace(plan.pod, "net") : -1;
  clone_args arguments = {};
  arguments.flags = CLONE_NEWPID | CLONE_NEWNS;
  arguments.exit_signal = SIGCHLD;
  const auto pid =
      static_cast<pid_t>(must(syscall(SYS_clone3, &arguments, sizeof arguments), "clone3 of the container"));
  if (pid == 0) {
    join(ipc, "ipc");
    join(uts, "uts");
    if (net >= 0) join(net, "net");
    run_container(plan, channel[1]);
  }
  for (const int fd : {ipc, uts, net, channel[1]}) {
    if (fd >= 0) close(fd);
  }
  char word;
  if (read(channel[0], &word, 1) != 1) fail("floor: the container was not set up");
  return {.pid = pid, .channel = channel[0]};
}

void start_container(const Container& container) {
  char word = 'g';
  must(write(container.channel, &word, 1), "container's channel");
  // The other end closes when the program is executed.
  must(read(container.channel, &word, 1), "container's channel");
  close(container.channel);
}

}  // namespace floor_bench
