#include "floor/pod.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <initializer_list>

#include "floor/check.h"
#include "floor/netlink.h"

namespace floor_bench {
namespace {

struct Network {
  uint32_t address;
  uint32_t gateway;
  int prefix;
};

void move_into_empty_root() {
  must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "private mounts");
  must(mount("pod", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k"), "root of the pod");
  must(chdir("/tmp"), "root of the pod");
  must(mkdir("shm", 0755), "shm");
  must(mount("shm", "shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m"), "shm");
  must(syscall(SYS_pivot_root, ".", "."), "pivot_root of the pod");
  must(umount2(".", MNT_DETACH), "old root of the pod");
}

[[noreturn]] void run_pod(int channel, const Hierarchies& hierarchies, const char* group, bool own_network) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  enter_group(hierarchies, group);
  setsid();
  must(sethostname("floor", 5), "sethostname");
  move_into_empty_root();
  Network network;
  must(read(channel, &network, sizeof network), "pod's channel");
  if (own_network) {
    const int netlink = netlink_open();
    set_up_eth0(netlink, network.address, network.prefix, network.gateway);
    close(netlink);
  }
  must(setresgid(65535, 65535, 65535), "setresgid of the pod");
  must(setresuid(65535, 65535, 65535), "setresuid of the pod");
  must(write(channel, "r", 1), "pod's channel");
  for (;;) pause();
}

}  // namespace

Pod start_pod(const Hierarchies& hierarchies, const char* group, bool own_network) {
  int channel[2];
  must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), "socketpair");
  clone_args arguments = {};
  arguments.flags = CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | (own_network ? CLONE_NEWNET : 0);
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(must(syscall(SYS_clone3, &arguments, sizeof arguments), "clone3 of the pod"));
  if (pid == 0) run_pod(channel[1], hierarchies, group, own_network);
  close(channel[1]);
  return {.pid = pid, .channel = channel[0]};
}

void finish_pod(const Pod& pod, uint32_t address, uint32_t gateway, int prefix) {
  const Network network = {.address = address, .gateway = gateway, .prefix = prefix};
  must(write(pod.channel, &network, sizeof network), "pod's channel");
  char word;
  if (read(pod.channel, &word, 1) != 1) fail("floor: the pod did not start");
}

int open_namespace(pid_t pid, const char* kind) {
  const Path path("/proc/%d/ns/%s", pid, kind);
  return must(open(path, O_RDONLY | O_CLOEXEC), path);
}

}  // namespace floor_bench
